//! What the project tells its newcomers is true: the tour of the README runs as it is printed there.

mod readme;
mod remotes;
