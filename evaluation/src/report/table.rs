//! Tables like the paper's, rendered to HTML, Markdown and CSV from one structure.

use crate::report::text;
use crate::statistics::significance::p_value;
use crate::{Error, Result};

/// What stands for a value that is not defined.
const DASH: &str = "\u{2013}";

/// A table: rows of measures, columns of methods.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// The heads of the columns that say what a row is, such as `Dataset`, `Translation`, `Metric`.
    pub keys: Vec<String>,
    /// The heads of the columns of values, such as the methods.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
    /// Notes below the table, such as what the stars mean and against which method.
    pub notes: Vec<String>,
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What it is, a text for each of the table's keys. Equal ones in successive rows are shown once.
    pub keys: Vec<String>,
    /// Which value is the best.
    pub best: Best,
    /// An entry for each of the table's columns.
    pub entries: Vec<Entry>,
}

/// Which value of a row is the best, and marked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Best {
    /// None is better than others.
    Unmarked,
    /// The highest.
    Highest,
    /// The lowest.
    Lowest,
    /// The nearest to this.
    Nearest(f64),
}

/// A value and its stars.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The value.
    pub cell: Cell,
    /// Stars of a test against the reference method, such as `**`; empty without.
    pub stars: String,
}

/// What an entry shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A mean over subjects.
    Mean {
        /// The mean.
        mean: f64,
        /// The standard deviation, which a single subject has not.
        deviation: Option<f64>,
        /// The 95 % interval.
        interval: Option<(f64, f64)>,
        /// Over so many subjects.
        count: usize,
        /// So many decimals are shown.
        decimals: usize,
    },
    /// A number.
    Number {
        /// The number.
        value: f64,
        /// So many decimals are shown.
        decimals: usize,
    },
    /// So many of so many, such as lesions that failed.
    Share {
        /// So many.
        part: usize,
        /// Of so many.
        whole: usize,
    },
    /// A p-value: four decimals, `< 0.001` below that.
    P(f64),
    /// Words.
    Text(String),
    /// There is no value: a dash, and the reason as a footnote.
    Undefined(String),
}

impl From<Cell> for Entry {
    fn from(cell: Cell) -> Self {
        Self { cell, stars: String::new() }
    }
}

impl Cell {
    /// What is compared to find the best.
    fn value(&self) -> Option<f64> {
        match self {
            Self::Mean { mean, .. } => Some(*mean),
            Self::Number { value, .. } | Self::P(value) => Some(*value),
            Self::Share { part, whole } if *whole > 0 => Some(*part as f64 / *whole as f64),
            _ => None,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Mean { mean, deviation, interval, decimals, .. } => {
                let number = |value: f64| text::number(value, *decimals);
                let deviation = deviation.map(|of| format!(" ({})", number(of))).unwrap_or_default();
                let ends = |(low, high): (f64, f64)| format!(" [{}, {}]", number(low), number(high));
                format!("{}{deviation}{}", number(*mean), interval.map(ends).unwrap_or_default())
            }
            Self::Number { value, decimals } => text::number(*value, *decimals),
            Self::Share { part, whole } => format!("{part}/{whole}"),
            Self::P(p) => p_value(*p),
            Self::Text(words) => words.clone(),
            Self::Undefined(_) => DASH.into(),
        }
    }

    fn numbers(&self) -> Vec<f64> {
        match self {
            Self::Mean { mean, deviation, interval, .. } => {
                let ends = interval.map(|(low, high)| [low, high]).into_iter().flatten();
                [*mean].into_iter().chain(*deviation).chain(ends).collect()
            }
            Self::Number { value, .. } | Self::P(value) => vec![*value],
            _ => vec![],
        }
    }
}

impl Row {
    /// Which entries are the best: more than one where they are equal, none where only one is defined.
    fn best(&self) -> Vec<bool> {
        let score = |entry: &Entry| {
            let value = entry.cell.value()?;
            match self.best {
                Best::Unmarked => None,
                Best::Highest => Some(value),
                Best::Lowest => Some(-value),
                Best::Nearest(ideal) => Some(-(value - ideal).abs()),
            }
        };
        let scores: Vec<Option<f64>> = self.entries.iter().map(score).collect();
        let several = scores.iter().flatten().count() > 1;
        let highest = scores.iter().flatten().copied().reduce(f64::max);
        scores.iter().map(|score| several && score.is_some() && *score == highest).collect()
    }
}

/// An entry as it is shown.
struct Shown {
    text: String,
    stars: String,
    best: bool,
    /// The number of its footnote.
    footnote: Option<usize>,
}

impl Table {
    /// Checks that every row fits the columns and no number is missing or infinite: such a value must be
    /// [`Cell::Undefined`], with its reason.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the row.
    pub fn check(&self) -> Result<()> {
        for row in &self.rows {
            let fault = |what: String| {
                Err(Error::Invalid(format!("the table {:?}, row {:?}: {what}", self.caption, row.keys)))
            };
            if row.keys.len() != self.keys.len() || row.entries.len() != self.columns.len() {
                return fault(format!(
                    "{} keys and {} entries for {} and {} columns",
                    row.keys.len(),
                    row.entries.len(),
                    self.keys.len(),
                    self.columns.len()
                ));
            }
            for (entry, column) in row.entries.iter().zip(&self.columns) {
                if let Some(bad) = entry.cell.numbers().into_iter().find(|number| !number.is_finite()) {
                    return fault(format!("{column:?} has the value {bad} and no reason"));
                }
            }
        }
        Ok(())
    }

    /// The entries as they are shown, row by row, and the footnotes.
    fn shown(&self) -> (Vec<Vec<Shown>>, Vec<&str>) {
        let mut footnotes: Vec<&str> = Vec::new();
        let mut rows = Vec::new();
        for row in &self.rows {
            let mut shown = Vec::new();
            for (entry, best) in row.entries.iter().zip(row.best()) {
                let footnote = match &entry.cell {
                    Cell::Undefined(reason) => {
                        let known = footnotes.iter().position(|known| known == reason);
                        Some(known.unwrap_or_else(|| {
                            footnotes.push(reason);
                            footnotes.len() - 1
                        }))
                    }
                    _ => None,
                };
                let footnote = footnote.map(|index| index + 1);
                shown.push(Shown { text: entry.cell.text(), stars: entry.stars.clone(), best, footnote });
            }
            rows.push(shown);
        }
        (rows, footnotes)
    }

    /// What is said below the table, its footnotes not included.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let means =
            self.rows.iter().flat_map(|row| &row.entries).any(|of| matches!(of.cell, Cell::Mean { .. }));
        if means {
            remarks.push("Mean (standard deviation) [95 % interval].".to_owned());
        }
        if self.rows.iter().any(|row| row.best().contains(&true)) {
            remarks.push("Bold: the best of a row.".to_owned());
        }
        remarks.extend(self.notes.iter().cloned());
        remarks
    }

    /// True if the row's key is that of the row above, and so are those before it.
    fn repeats(&self, row: usize, key: usize) -> bool {
        let above = row.checked_sub(1).and_then(|above| self.rows[above].keys.get(..=key));
        above.is_some_and(|above| self.rows[row].keys.get(..=key) == Some(above))
    }

    /// An HTML `table` element, with its notes as a paragraph after it. `number` is put before the caption.
    ///
    /// # Errors
    /// Those of [`Self::check`].
    pub fn html(&self, number: &str) -> Result<String> {
        self.check()?;
        let (rows, footnotes) = self.shown();
        let mut html = format!(
            "<div class=\"table\"><table>\n<caption><b>{}</b> {}</caption>\n<thead><tr>",
            text::html(number),
            text::html(&self.caption)
        );
        for head in self.keys.iter().chain(&self.columns) {
            html += &format!("<th scope=\"col\">{}</th>", text::html(head));
        }
        html += "</tr></thead>\n<tbody>\n";
        for (index, entries) in rows.iter().enumerate() {
            html += if index > 0 && self.keys.len() > 1 && !self.repeats(index, 0) {
                "<tr class=\"group\">"
            } else {
                "<tr>"
            };
            for (key, text) in self.rows[index].keys.iter().enumerate() {
                if !self.repeats(index, key) {
                    let following = (index + 1..rows.len()).take_while(|row| self.repeats(*row, key)).count();
                    html +=
                        &format!("<th scope=\"row\" rowspan=\"{}\">{}</th>", following + 1, text::html(text));
                }
            }
            for shown in entries {
                let value = text::html(&shown.text);
                let value = if shown.best { format!("<b>{value}</b>") } else { value };
                let stars = superscript(&shown.stars);
                let footnote = shown.footnote.map(|number| superscript(&footnote_mark(number)));
                html += &format!("<td>{value}{stars}{}</td>", footnote.unwrap_or_default());
            }
            html += "</tr>\n";
        }
        html += "</tbody>\n</table>\n";
        let remarks = self.remarks().iter().map(|note| text::html(note)).collect::<Vec<_>>().join(" ");
        html += &format!("<p class=\"notes\">{remarks}</p>\n");
        for (index, reason) in footnotes.iter().enumerate() {
            let mark = superscript(&footnote_mark(index + 1));
            html += &format!("<p class=\"notes\">{mark} Not defined: {}</p>\n", text::html(reason));
        }
        html += "</div>\n";
        Ok(html)
    }

    /// A Markdown table, its caption above and its notes below.
    ///
    /// # Errors
    /// Those of [`Self::check`].
    pub fn markdown(&self) -> Result<String> {
        self.check()?;
        let (rows, footnotes) = self.shown();
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let heads = || self.keys.iter().chain(&self.columns);
        let mut out = format!("**{}**\n\n", text::markdown(&self.caption));
        out += &line(heads().map(|head| text::markdown(head)).collect());
        out += &line(heads().map(|_| "---".to_owned()).collect());
        for (index, entries) in rows.iter().enumerate() {
            let key = |(key, text): (usize, &String)| {
                if self.repeats(index, key) { String::new() } else { text::markdown(text) }
            };
            let value = |shown: &Shown| {
                let value = text::markdown(&shown.text);
                let value = if shown.best { format!("**{value}**") } else { value };
                let mark = shown.footnote.map(footnote_mark).unwrap_or_default();
                format!("{value}{}{}", text::markdown(&shown.stars), mark)
            };
            let keys = self.rows[index].keys.iter().enumerate().map(key);
            out += &line(keys.chain(entries.iter().map(value)).collect());
        }
        for note in self.remarks() {
            out += &format!("\n{}\n", text::markdown(&note));
        }
        for (index, reason) in footnotes.iter().enumerate() {
            out += &format!("\n{} Not defined: {}\n", footnote_mark(index + 1), text::markdown(reason));
        }
        Ok(out)
    }

    /// CSV with a line for each entry: the keys, the column, the numbers in full, and whether it is the best; what a program
    /// reads. Texts that a spreadsheet would take for a formula begin with an apostrophe.
    ///
    /// # Errors
    /// Those of [`Self::check`].
    pub fn csv(&self) -> Result<String> {
        self.check()?;
        let values = [
            "column",
            "value",
            "n",
            "sd",
            "low_95",
            "high_95",
            "whole",
            "text",
            "stars",
            "best",
            "undefined",
        ];
        let heads = self.keys.iter().cloned().chain(values.map(String::from)).collect();
        let mut records: Vec<Vec<String>> = vec![heads];
        for row in &self.rows {
            for ((entry, best), column) in row.entries.iter().zip(row.best()).zip(&self.columns) {
                let keys = row.keys.iter().chain([column]).cloned();
                let best = if best { "yes" } else { "" }.to_owned();
                let [numbers @ .., undefined] = fields(&entry.cell);
                records.push(keys.chain(numbers).chain([entry.stars.clone(), best, undefined]).collect());
            }
        }
        text::csv(&records)
    }
}

/// Value, n, standard deviation, both ends of the interval, whole, text; and why it is not defined.
fn fields(cell: &Cell) -> [String; 8] {
    let mut fields: [String; 8] = Default::default();
    match cell {
        Cell::Mean { mean, deviation, interval, count, .. } => {
            fields[0] = mean.to_string();
            fields[1] = count.to_string();
            fields[2] = deviation.map(|of| of.to_string()).unwrap_or_default();
            if let Some((low, high)) = interval {
                fields[3] = low.to_string();
                fields[4] = high.to_string();
            }
        }
        Cell::Number { value, .. } | Cell::P(value) => fields[0] = value.to_string(),
        Cell::Share { part, whole } => {
            fields[0] = part.to_string();
            fields[5] = whole.to_string();
        }
        Cell::Text(words) => fields[6] = words.clone(),
        Cell::Undefined(reason) => fields[7] = reason.clone(),
    }
    fields
}

fn footnote_mark(number: usize) -> String {
    format!("({number})")
}

fn superscript(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<sup>{}</sup>", text::html(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(mean: f64, stars: &str) -> Entry {
        let (deviation, interval) = (Some(1.0), Some((mean - 0.5, mean + 0.5)));
        Entry { cell: Cell::Mean { mean, deviation, interval, count: 11, decimals: 2 }, stars: stars.into() }
    }

    fn table() -> Table {
        let row =
            |keys: [&str; 2], best, entries| Row { keys: keys.map(String::from).to_vec(), best, entries };
        let number = |value| Entry::from(Cell::Number { value, decimals: 2 });
        Table {
            caption: "Fidelity of <script>".into(),
            keys: vec!["Dataset".into(), "Metric".into()],
            columns: vec!["CycleGAN".into(), "Pix2Pix".into()],
            rows: vec![
                row(["MS", "PSNR (dB)"], Best::Highest, vec![mean(26.88, ""), mean(28.521, "***")]),
                row(["MS", "Ratio"], Best::Nearest(1.0), vec![number(1.24), number(0.70)]),
                row(
                    ["MS", "Failed"],
                    Best::Lowest,
                    vec![
                        Cell::Share { part: 0, whole: 11 }.into(),
                        Cell::Share { part: 0, whole: 11 }.into(),
                    ],
                ),
                row(
                    ["HCP", "Dice"],
                    Best::Highest,
                    vec![Cell::Undefined("no lesion | at all".into()).into(), number(0.5)],
                ),
                row(["HCP", "p"], Best::Unmarked, vec![Cell::P(1e-9).into(), Cell::P(0.25).into()]),
            ],
            notes: vec!["*** p <= 0.001".into()],
        }
    }

    #[test]
    fn markdown_marks_the_best_the_stars_and_the_undefined() {
        let text = table().markdown().unwrap();
        let expected = "**Fidelity of &lt;script&gt;**

| Dataset | Metric | CycleGAN | Pix2Pix |
| --- | --- | --- | --- |
| MS | PSNR (dB) | 26.88 (1.00) \\[26.38, 27.38\\] | **28.52 (1.00) \\[28.02, 29.02\\]**\\*\\*\\* |
|  | Ratio | **1.24** | 0.70 |
|  | Failed | **0/11** | **0/11** |
| HCP | Dice | \u{2013}(1) | 0.50 |
|  | p | &lt; 0.001 | 0.2500 |

Mean (standard deviation) \\[95 % interval\\].

Bold: the best of a row.

\\*\\*\\* p &lt;= 0.001

(1) Not defined: no lesion \\| at all
";
        assert_eq!(text, expected);
    }

    #[test]
    fn html_spans_rows_and_is_escaped() {
        let html = table().html("Table 1.").unwrap();
        let document = roxmltree::Document::parse(&html).unwrap();
        assert_eq!(document.descendants().filter(|node| node.has_tag_name("td")).count(), 10);
        let spans: Vec<_> = document.descendants().filter_map(|node| node.attribute("rowspan")).collect();
        assert_eq!(spans, ["3", "1", "1", "1", "2", "1", "1"]);
        assert!(
            !html.contains("<script") && html.contains("<b>28.52 (1.00) [28.02, 29.02]</b><sup>***</sup>")
        );
        assert!(html.contains("\u{2013}<sup>(1)</sup>") && html.contains("Not defined: no lesion | at all"));
    }

    #[test]
    fn csv_has_the_numbers_in_full_and_no_formulas() {
        let mut table = table();
        table.columns[0] = "=1+1".into();
        let text = table.csv().unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let heads = reader.headers().unwrap().clone();
        let records: Vec<_> = reader.records().map(|record| record.unwrap()).collect();
        assert_eq!(records.len(), 10);
        let field = |record: usize, head: &str| {
            records[record][heads.iter().position(|found| found == head).unwrap()].to_owned()
        };
        assert_eq!((field(0, "column"), field(1, "value")), ("'=1+1".into(), "28.521".into()));
        assert_eq!(
            (field(1, "n"), field(1, "sd"), field(1, "stars")),
            ("11".into(), "1".into(), "***".into())
        );
        assert_eq!((field(0, "best"), field(1, "best")), ("".into(), "yes".into()));
        assert_eq!((field(4, "value"), field(4, "whole")), ("0".into(), "11".into()));
        assert_eq!((field(6, "value"), field(6, "undefined")), ("".into(), "no lesion | at all".into()));
    }

    #[test]
    fn numbers_without_a_reason_and_rows_that_do_not_fit_are_refused() {
        let mut bad = table();
        bad.rows[0].entries[1] = mean(f64::NAN, "");
        let fault = bad.markdown().unwrap_err().to_string();
        assert!(fault.contains("PSNR") && fault.contains("\"Pix2Pix\" has the value NaN"), "{fault}");
        let mut bad = table();
        bad.rows[3].entries.pop();
        for fault in [bad.html("").map(|_| ()), bad.csv().map(|_| ()), bad.markdown().map(|_| ())] {
            assert!(fault.unwrap_err().to_string().contains("2 keys and 1 entries for 2 and 2"));
        }
    }
}
