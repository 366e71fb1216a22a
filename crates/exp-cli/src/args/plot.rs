//! `plots show`, `plots diff`, `plots templates`, `plots modify`.

use exp_engine::core::{Table, Value};

/// How plots look, where that is said on the command line.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct PropsArgs {
    /// A template by its name or file
    #[arg(short, long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    pub(crate) template: Option<String>,
    /// The column of the horizontal axis
    #[arg(short, value_name = "COLUMN")]
    pub(crate) x: Option<String>,
    /// The column of the vertical axis
    #[arg(short, value_name = "COLUMN")]
    pub(crate) y: Option<String>,
    /// The first line of a table is no header
    #[arg(long)]
    pub(crate) no_header: bool,
    /// What the plot is called
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// What the horizontal axis is called
    #[arg(long, value_name = "TEXT")]
    pub(crate) x_label: Option<String>,
    /// What the vertical axis is called
    #[arg(long, value_name = "TEXT")]
    pub(crate) y_label: Option<String>,
}

impl PropsArgs {
    /// Returns the template; DVC takes the flag alone for none.
    pub(crate) fn template(&self) -> Option<&str> {
        self.template.as_deref().filter(|name| !name.is_empty())
    }

    /// Returns the properties as a `dvc.yaml` has them.
    pub(crate) fn table(&self) -> Table {
        let template = self.template();
        let template = template.map(str::to_owned);
        let texts = [
            ("template", &template),
            ("x", &self.x),
            ("y", &self.y),
            ("x_label", &self.x_label),
            ("y_label", &self.y_label),
            ("title", &self.title),
        ];
        let texts = texts
            .into_iter()
            .filter_map(|(key, text)| Some((key.to_owned(), Value::from(text.as_deref()?))));
        let header = self.no_header.then(|| ("header".to_owned(), Value::Bool(false)));
        texts.chain(header).collect()
    }
}

/// Where plots go.
#[derive(Debug, Clone, Default, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of DVC's")]
pub(crate) struct OutputArgs {
    /// The directory of the page [default: `plots.out_dir`, or `dvc_plots`]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: Option<String>,
    /// Print the Vega-Lite document of one plot
    #[arg(long)]
    pub(crate) show_vega: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// In JSON, keep values that readers change beside the document
    #[arg(long)]
    pub(crate) split: bool,
    /// Write an SVG file for each plot instead of a page, for papers
    #[arg(long, conflicts_with_all = ["json", "split", "show_vega", "open", "html_template"])]
    pub(crate) svg: bool,
    /// Open the page in a browser
    #[arg(long)]
    pub(crate) open: bool,
    /// A page of your own with `{plot_divs}` where plots go
    #[arg(long, value_name = "FILE")]
    pub(crate) html_template: Option<String>,
}

/// Flags of `plots show`.
#[derive(Debug, clap::Args)]
pub(crate) struct PlotsShowArgs {
    /// Files, directories or names of plots; those of the pipeline by default
    pub(crate) targets: Vec<String>,
    #[command(flatten)]
    pub(crate) props: PropsArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Flags of `plots diff`.
#[derive(Debug, clap::Args)]
pub(crate) struct PlotsDiffArgs {
    /// Revisions and experiments; HEAD and the workspace by default
    pub(crate) revisions: Vec<String>,
    /// Only these files, directories or plots
    #[arg(long, value_name = "PATH", num_args = 0..)]
    pub(crate) targets: Vec<String>,
    /// Compare an experiment with the commit that it started from
    #[arg(short, long, hide = true)]
    pub(crate) experiment: bool,
    #[command(flatten)]
    pub(crate) props: PropsArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Flags of `plots templates`.
#[derive(Debug, clap::Args)]
pub(crate) struct PlotsTemplatesArgs {
    /// A template to print
    pub(crate) template: Option<String>,
}

/// Flags of `plots modify`.
#[derive(Debug, clap::Args)]
pub(crate) struct PlotsModifyArgs {
    /// The output of a stage
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) props: PropsArgs,
    /// Properties to take away
    #[arg(long, value_name = "PROPERTY", num_args = 0..)]
    pub(crate) unset: Option<Vec<String>>,
}
