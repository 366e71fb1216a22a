//! What every storage promises, tested against real servers: one table of storages, one of behaviours.
//!
//! A behaviour gets a place of its own and may ask for a proxy that makes the network bad. Storages whose server is not
//! up are skipped, loudly; see `cargo xtask services`.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod basics;
mod buckets;
mod bulk;
mod faults;
mod login;
mod names;
mod people;
mod proxy;
mod servers;
mod transfer;
mod versions;
mod web;

use std::error::Error;
use std::sync::mpsc;
use std::time::Duration;

use crate::servers::{Kind, Site};

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// No behaviour takes longer, not even on a busy machine.
const LIMIT: Duration = Duration::from_mins(8);

/// Runs a behaviour on a storage. One that hangs fails.
fn check(kind: Kind, behaviour: fn(&Site) -> Result) {
    let site = match Site::new(kind) {
        Ok(site) => site,
        Err(reason) => return eprintln!("SKIPPED: {kind:?}: {reason}"),
    };
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || {
        let result = std::panic::catch_unwind(|| behaviour(&site).map_err(|err| chain(&*err)));
        let _received = done.send(result);
    });
    match result.recv_timeout(LIMIT) {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(problem))) => panic!("{kind:?}: {problem}"),
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(err) => panic!("{kind:?}: it hangs: {err}"),
    }
}

/// An error with all its causes.
fn chain(err: &dyn Error) -> String {
    let mut text = err.to_string();
    let mut next = err.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// Makes a test of each behaviour.
macro_rules! behaviours {
    ($kind:ident: $($module:ident::$name:ident)*) => {
        $(#[test]
        fn $name() {
            crate::check(crate::servers::Kind::$kind, crate::$module::$name);
        })*
    };
}

/// What a directory promises as well.
macro_rules! everywhere {
    ($kind:ident) => {
        behaviours! { $kind:
            basics::what_is_written_is_read_and_replaced
            basics::what_is_missing_is_missing
            basics::a_read_begins_anywhere
            basics::an_empty_object_is_there
            basics::a_big_object_keeps_its_bytes
            basics::a_source_that_ends_early_leaves_nothing
            basics::an_address_may_name_one_file
            basics::many_threads_use_one_storage
            names::names_are_kept
            names::listings_know_depth_and_borders
            bulk::many_objects_are_written_listed_and_removed
            transfer::a_directory_travels
            transfer::wrong_bytes_are_never_in_the_store
        }
    };
}

/// What only something with a network in between can be asked.
macro_rules! network {
    ($kind:ident) => {
        everywhere! { $kind }
        behaviours! { $kind:
            faults::a_slow_network_is_no_failure
            faults::a_read_that_is_cut_goes_on
            faults::a_write_that_is_cut_leaves_nothing
            faults::a_replacement_that_is_cut_leaves_what_was_there
            faults::a_refused_connection_is_temporary
            faults::a_stop_is_heard_while_the_server_stalls
            faults::a_server_that_was_restarted_is_used_again
            people::no_secret_is_shown
            transfer::a_directory_travels_over_a_bad_network
        }
    };
}

/// What only a server can be asked that speaks HTTP.
macro_rules! web {
    ($kind:ident) => {
        network! { $kind }
        behaviours! { $kind:
            faults::a_server_in_trouble_is_temporary
            people::a_refusal_is_denied
        }
    };
}

/// What a service of buckets promises as well.
macro_rules! bucket {
    ($kind:ident) => {
        web! { $kind }
        behaviours! { $kind:
            faults::a_removal_that_is_cut_is_done_again
        }
    };
}

mod dir {
    everywhere! { Dir }
}
mod s3 {
    bucket! { S3 }
    behaviours! { S3:
        people::a_wrong_secret_is_denied
        people::a_right_that_is_over_is_denied
        people::a_reader_reads_and_does_not_write
        versions::old_versions_are_kept_and_read
        versions::what_is_there_is_not_sent_again
        versions::a_bucket_without_versions_is_refused
    }
}
mod gcs {
    // The server asks nobody who he is.
    bucket! { Gcs }
}
mod gcs_versions {
    // In memory, and so not for everything that a server goes through.
    behaviours! { GcsVersions:
        versions::old_versions_are_kept_and_read
        versions::what_is_there_is_not_sent_again
        versions::a_bucket_without_versions_is_refused
    }
}
mod azure {
    bucket! { Azure }
    behaviours! { Azure:
        people::a_wrong_secret_is_denied
        people::a_right_that_is_over_is_denied
        versions::azure_takes_the_signature_of_a_version
        versions::a_bucket_without_versions_is_refused
    }
}
mod ssh {
    network! { Ssh }
    behaviours! { Ssh:
        people::a_wrong_secret_is_denied
        people::a_right_that_is_over_is_denied
        people::a_reader_reads_and_does_not_write
    }
}
mod http {
    web! { Http }
    behaviours! { Http:
        people::a_wrong_secret_is_denied
        people::a_right_that_is_over_is_denied
        people::a_reader_reads_and_does_not_write
    }
}
mod webdav {
    web! { Webdav }
    behaviours! { Webdav:
        people::a_wrong_secret_is_denied
        people::a_reader_reads_and_does_not_write
    }
}
