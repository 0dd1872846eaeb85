//! Plots as SVG: lines over one axis, in one panel or several below each other, with limits and marks. Pure: numbers in, text out.
//!
//! Belongs here: how numbers become a picture. Does not: where they come from, and where the picture goes. The same numbers give the same
//! bytes. It needs no script and no font of its own, and reads on a white and on a dark page.

mod axis;
mod draw;

pub use axis::Axis;
pub use draw::svg;

/// A picture.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plot {
    /// Above everything.
    pub title: String,
    /// What it shows, for those who cannot see it.
    pub description: String,
    /// What all panels share.
    pub x: Axis,
    /// From top to bottom.
    pub panels: Vec<Panel>,
    /// Vertical lines through all panels.
    pub marks: Vec<Mark>,
}

/// One diagram.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Panel {
    /// The vertical axis.
    pub y: Axis,
    /// Its height beside the others': 1 is a whole one.
    pub height: f64,
    /// What is drawn.
    pub series: Vec<Series>,
    /// Horizontal lines, each with a word.
    pub limits: Vec<(f64, String)>,
}

/// Numbers that belong together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// Its name in the legend, which is one line for all names of a panel; without one it has no place there.
    pub name: String,
    /// By x; where one is not a number the line is interrupted.
    pub points: Vec<(f64, f64)>,
    /// How they are joined.
    pub shape: Shape,
}

/// How points are joined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shape {
    /// By straight lines.
    #[default]
    Line,
    /// By straight lines, each point with a dot: few measured values.
    Dots,
    /// Each value holds until the next.
    Steps,
}

/// A vertical line with a word: the knee, a change from outside.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mark {
    /// Where.
    pub x: f64,
    /// What is there.
    pub label: String,
}

#[cfg(test)]
mod tests;
