//! Plots of `exp`: definitions and data in, Vega-Lite documents, pages and charts of characters out.
//!
//! What a revision defines ([`PlotProps`]) and what its files hold ([`PlotData`]) become plots over all revisions
//! ([`plots()`]), with the rules of DVC: which columns are drawn, how files are joined, what is inferred. A plot fills a
//! [`Template`], and the result is the same JSON that DVC prints.
//!
//! ```
//! use exp_plots::{Definitions, PlotKind, PlotProps, RevisionPlots, parse_table, plots};
//!
//! let table = parse_table("step,loss\n0,1.0\n1,0.5\n", ',', true)?;
//! let revision = RevisionPlots {
//!     rev: "workspace".to_owned(),
//!     definitions: Ok(Definitions::from([(
//!         String::new(),
//!         [("log.csv".to_owned(), PlotProps::default())].into(),
//!     )])),
//!     sources: [("log.csv".to_owned(), Ok(table))].into(),
//! };
//! let plots = plots(&[revision]);
//! let PlotKind::Points(plot) = &plots[0].kind else { panic!("no points") };
//! assert_eq!(plot.filled.y.as_deref(), Some("loss"));
//! # Ok::<(), exp_plots::PlotFault>(())
//! ```
//!
//! This crate knows nothing of revisions, files or formats of documents: whoever calls it finds and reads them.

mod chart;
mod definition;
mod fault;
mod fill;
mod frame;
mod page;
mod parallel;
mod plot;
mod points;
mod series;
mod svg;
mod table;
mod template;

pub use chart::{Chart, ChartOptions, Piece, chart};
pub use definition::{Axis, PlotProps, extension, is_image};
pub use fault::PlotFault;
pub use fill::{COLORS, Spec, Split};
pub use frame::{Column, Frame, Texts};
pub use page::{ImageType, NoPlace, Page, PageImage, PageItem, PageKind};
pub use parallel::{ParallelAxis, parallel};
pub use plot::{Definitions, Plot, PlotImage, PlotKind, PointsPlot, RevisionPlots, plots};
pub use points::PlotData;
pub use series::Filled;
pub use svg::{SvgOptions, svg};
pub use table::parse_table;
pub use template::{DEFAULT_TEMPLATE, Template, template_names, template_text};
