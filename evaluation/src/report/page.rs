//! The report: one HTML page that needs nothing but itself.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::Result;
use crate::report::panel::Png;
use crate::report::plots::Svg;
use crate::report::table::Table;
use crate::report::text::html as escaped;

const STYLE: &str = include_str!("page.css");
/// What stands at the top of every report.
const WARNING: &str = "Research software, not a medical device. The synthetic images that are measured here are estimates: they \
                       may lack or invent findings, and are not for diagnosis. Good figures of a group do not show that one \
                       image is right.";

/// A report.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// What is written above it.
    pub title: String,
    /// How it was made.
    pub provenance: Provenance,
    /// Its parts, in order.
    pub sections: Vec<Section>,
}

/// How a report was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Names and versions of what was used.
    pub versions: Vec<(String, String)>,
    /// What was counted, such as `subjects`, and how many.
    pub counts: Vec<(String, usize)>,
}

/// A part of a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// What is in it, in order.
    pub blocks: Vec<Block>,
}

/// What a section is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// A paragraph.
    Paragraph(String),
    /// Lines of a list.
    List(Vec<String>),
    /// A table; tables are numbered throughout.
    Table(Table),
    /// Plots side by side, where there is room, with one caption; figures are numbered throughout.
    Plots {
        /// The plots.
        plots: Vec<Svg>,
        /// What they show.
        caption: String,
    },
    /// A picture; numbered with the plots.
    Picture {
        /// The picture.
        png: Png,
        /// What it shows.
        caption: String,
    },
}

/// How many tables and figures there are so far.
#[derive(Default)]
struct Numbers {
    tables: usize,
    figures: usize,
}

impl Page {
    /// The page as HTML5 that is well-formed XML too. It has no scripts and no links to anything outside it, and tells browsers
    /// to load nothing.
    ///
    /// # Errors
    /// Those of [`Table::check`].
    pub fn html(&self) -> Result<String> {
        let title = escaped(&self.title);
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src \
             'unsafe-inline'\"/>\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n\
             <p class=\"warning\" role=\"note\"><b>Warning.</b> {}</p>\n</header>\n",
            escaped(WARNING)
        );
        html += &self.provenance.html();
        html += &self.contents();
        html += "<main>\n";
        let mut numbers = Numbers::default();
        for (index, section) in self.sections.iter().enumerate() {
            let number = index + 1;
            let heading = escaped(&section.title);
            html += &format!("<section id=\"s{number}\">\n<h2>{number}. {heading}</h2>\n");
            for block in &section.blocks {
                html += &block.html(&mut numbers)?;
            }
            html += "</section>\n";
        }
        html += "</main>\n</body>\n</html>\n";
        Ok(html)
    }

    fn contents(&self) -> String {
        let entries = self.sections.iter().enumerate().map(|(index, section)| {
            format!("<li><a href=\"#s{}\">{}</a></li>\n", index + 1, escaped(&section.title))
        });
        let entries: String = entries.collect();
        if entries.is_empty() {
            return entries;
        }
        format!("<nav>\n<h2>Contents</h2>\n<ol>\n{entries}</ol>\n</nav>\n")
    }
}

impl Provenance {
    fn html(&self) -> String {
        let mut html = String::from("<dl class=\"facts\">\n");
        let mut fact = |name: &str, value: &str| html += &format!("<dt>{name}</dt><dd>{value}</dd>\n");
        let joined = |parts: Vec<String>| escaped(&parts.join(", "));
        if !self.command.is_empty() {
            let words: Vec<String> = self.command.iter().map(|word| quoted(word)).collect();
            fact("Command", &format!("<code>{}</code>", escaped(&words.join(" "))));
        }
        if !self.versions.is_empty() {
            let of = |(name, version): &(String, String)| format!("{name} {version}");
            fact("Versions", &joined(self.versions.iter().map(of).collect()));
        }
        if !self.counts.is_empty() {
            let of = |(what, count): &(String, usize)| format!("{what}: {count}");
            fact("Data", &joined(self.counts.iter().map(of).collect()));
        }
        html += "</dl>\n";
        html
    }
}

/// The argument as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=,:+@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

impl Block {
    fn html(&self, numbers: &mut Numbers) -> Result<String> {
        let mut figure = |content: String, caption: &str| {
            numbers.figures += 1;
            let number = numbers.figures;
            let caption = format!("<figcaption><b>Figure {number}.</b> {}</figcaption>", escaped(caption));
            format!("<figure>\n{content}{caption}\n</figure>\n")
        };
        Ok(match self {
            Self::Paragraph(text) => format!("<p>{}</p>\n", escaped(text)),
            Self::List(lines) if lines.is_empty() => String::new(),
            Self::List(lines) => {
                let lines: String =
                    lines.iter().map(|line| format!("<li>{}</li>\n", escaped(line))).collect();
                format!("<ul>\n{lines}</ul>\n")
            }
            Self::Table(table) => {
                numbers.tables += 1;
                table.html(&format!("Table {}.", numbers.tables))?
            }
            Self::Plots { plots, caption } => {
                let plots: String =
                    plots.iter().map(|plot| format!("<div>{}</div>\n", plot.as_str())).collect();
                figure(format!("<div class=\"plots\">\n{plots}</div>\n"), caption)
            }
            Self::Picture { png, caption } => {
                let data = STANDARD.encode(png.bytes());
                let alternative = escaped(caption);
                let image = format!("<img alt=\"{alternative}\" src=\"data:image/png;base64,{data}\"/>\n");
                figure(image, caption)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plots::bars::{Bar, BarChart};
    use crate::report::table::{Best, Cell, Row};
    use ndarray::Array3;

    const EVIL: &str = "<script>alert('\"&\u{1}')</script>";

    fn page() -> Page {
        let table = Table {
            caption: EVIL.into(),
            keys: vec![EVIL.into()],
            columns: vec![EVIL.into()],
            rows: vec![Row {
                keys: vec![EVIL.into()],
                best: Best::Unmarked,
                entries: vec![Cell::Undefined(EVIL.into()).into()],
            }],
            notes: vec![EVIL.into()],
        };
        let bar = Bar { name: EVIL.into(), mean: 1.0, interval: None, is_real: false };
        let chart = BarChart { title: EVIL.into(), up: EVIL.into(), bars: vec![bar], comparisons: vec![] };
        let (image, brain) = (Array3::<f32>::zeros((9, 9, 9)), Array3::from_elem((9, 9, 9), true));
        let (image, brain) = (image.view(), brain.view());
        let images = crate::report::panel::Images {
            real: image,
            synthetic: image,
            brain,
            spacing: [1.0; 3],
            white: 1.0,
        };
        let png = crate::report::panel::draw(EVIL, &images).unwrap();
        Page {
            title: EVIL.into(),
            provenance: Provenance {
                command: vec!["mrisynth".into(), EVIL.into()],
                versions: vec![(EVIL.into(), "1".into())],
                counts: vec![("subjects".into(), 3)],
            },
            sections: vec![
                Section {
                    title: EVIL.into(),
                    blocks: vec![
                        Block::Paragraph(EVIL.into()),
                        Block::List(vec![EVIL.into()]),
                        Block::Table(table.clone()),
                    ],
                },
                Section {
                    title: "figures".into(),
                    blocks: vec![
                        Block::Plots { plots: vec![chart.draw().unwrap(); 2], caption: EVIL.into() },
                        Block::Picture { png, caption: EVIL.into() },
                        Block::Table(table),
                    ],
                },
            ],
        }
    }

    #[test]
    fn the_page_is_well_formed_and_nothing_in_it_is_a_script() {
        let html = page().html().unwrap();
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let document = roxmltree::Document::parse_with_options(&html, options).unwrap();
        let count = |name: &str| document.descendants().filter(|node| node.tag_name().name() == name).count();
        assert_eq!((count("script"), count("svg"), count("img"), count("table")), (0, 2, 1, 2));
        assert!(!html.contains("<script"));
        // Texts come back as they were given, but for the control character.
        let heading =
            document.descendants().find(|node| node.has_tag_name(("http://www.w3.org/1999/xhtml", "h1")));
        assert_eq!(heading.unwrap().text(), Some(EVIL.replace('\u{1}', "\u{fffd}").as_str()));
        for text in ["Figure 1.", "Figure 2.", "Table 1.", "Table 2.", "not a medical device", "subjects: 3"]
        {
            assert_eq!(html.matches(text).count(), 1, "{text}");
        }
    }

    #[test]
    fn the_page_refers_to_nothing_outside_it() {
        let html = page().html().unwrap();
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let document = roxmltree::Document::parse_with_options(&html, options).unwrap();
        for attribute in document.descendants().flat_map(|node| node.attributes()) {
            match attribute.name() {
                "src" => assert!(attribute.value().starts_with("data:image/png;base64,")),
                "href" => assert!(attribute.value().starts_with('#')),
                _ => assert!(!attribute.value().contains("http"), "{}", attribute.name()),
            }
        }
        let namespaces = html.matches("http://www.w3.org/1999/xhtml\"").count()
            + html.matches("http://www.w3.org/2000/svg\"").count();
        assert_eq!(html.matches("http:").count(), namespaces);
        assert!(!html.contains("https:") && !STYLE.contains("url(") && !STYLE.contains("@import"));
    }

    #[test]
    fn links_of_the_contents_lead_to_sections_and_bytes_are_the_same() {
        let html = page().html().unwrap();
        for number in 1..=2 {
            assert!(
                html.contains(&format!("href=\"#s{number}\"")) && html.contains(&format!("id=\"s{number}\""))
            );
        }
        assert_eq!(html, page().html().unwrap());
        let empty = Page { sections: vec![], ..page() };
        assert!(!empty.html().unwrap().contains("<nav>"));
    }

    #[test]
    fn commands_can_be_run_again() {
        assert_eq!(quoted("--mask=a b"), "'--mask=a b'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!((quoted("a/b.nii.gz"), quoted("")), ("a/b.nii.gz".into(), "''".into()));
    }
}
