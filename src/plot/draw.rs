//! The drawing: panels, grid, lines, legends, as SVG 1.1.

use std::fmt::Write as _;

use super::axis::Scale;
use super::{Mark, Panel, Plot, Series, Shape};

const WIDTH: f64 = 760.0;
/// Of a panel of height 1.
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 68.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 44.0;
/// Between two panels: the legend of the lower one stands there.
const GAP: f64 = 34.0;
const BOTTOM: f64 = 46.0;
/// A letter's width at 12 px in common fonts, for where the next word may begin.
const LETTER: f64 = 6.6;

/// Told apart by eyes of every kind, also in grey (Okabe and Ito).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"];
const LIMIT: &str = "#b00020";
const INK: &str = "#222";
const GREY: &str = "#666";

/// The picture.
pub fn svg(plot: &Plot) -> String {
    let heights: Vec<f64> = plot.panels.iter().map(height).collect();
    let gaps = GAP * (plot.panels.len().max(1) - 1) as f64;
    let total = TOP + heights.iter().sum::<f64>() + gaps + BOTTOM;
    let all = plot.panels.iter().flat_map(|p| &p.series).flat_map(|s| &s.points).map(|(x, _)| *x);
    let x = Scale::over(&plot.x, all, 10);
    let mut out = String::new();
    let (title, about) = (escaped(&plot.title), escaped(&plot.description));
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {total}\" width=\"{WIDTH}\" height=\"{total}\" \
         role=\"img\" font-family=\"sans-serif\" font-size=\"12\" fill=\"{INK}\">\n<title>{title}</title>\n<desc>{about}</desc>\n\
         <rect width=\"{WIDTH}\" height=\"{total}\" fill=\"#fff\"/>\n",
    );
    text(&mut out, (LEFT, 20.0), "start", "font-size=\"15\" font-weight=\"bold\"", &plot.title);
    let mut top = TOP;
    for (panel, height) in plot.panels.iter().zip(&heights) {
        draw_panel(&mut out, panel, &x, &Area { top, height: *height });
        top += height + GAP;
    }
    let area = Area { top: TOP, height: total - TOP - BOTTOM };
    plot.marks.iter().for_each(|mark| draw_mark(&mut out, mark, &x, &area));
    for tick in &x.ticks {
        text(&mut out, (across(&x, *tick), total - BOTTOM + 16.0), "middle", "", &x.text(*tick));
    }
    text(&mut out, (LEFT + (WIDTH - LEFT - RIGHT) / 2.0, total - 10.0), "middle", "", &plot.x.label);
    out.push_str("</svg>\n");
    out
}

/// Where a panel lies.
struct Area {
    top: f64,
    height: f64,
}

impl Area {
    fn down(&self, y: &Scale, n: f64) -> f64 {
        self.top + self.height * (1.0 - y.share(n).clamp(0.0, 1.0))
    }
}

fn height(panel: &Panel) -> f64 {
    let times = if panel.height.is_finite() && panel.height > 0.0 { panel.height.clamp(0.2, 5.0) } else { 1.0 };
    (HEIGHT * times).round()
}

fn across(x: &Scale, n: f64) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * x.share(n).clamp(0.0, 1.0)
}

fn draw_panel(out: &mut String, panel: &Panel, x: &Scale, area: &Area) {
    let numbers = panel.series.iter().flat_map(|s| &s.points).map(|(_, y)| *y);
    let about = (area.height / 40.0) as usize;
    let y = Scale::over(&panel.y, numbers.chain(panel.limits.iter().map(|(n, _)| *n)), about);
    let (right, bottom) = (WIDTH - RIGHT, area.top + area.height);
    for tick in &y.ticks {
        let down = area.down(&y, *tick);
        line(out, (LEFT, down), (right, down), "stroke=\"#e3e3e3\"");
        text(out, (LEFT - 6.0, down + 4.0), "end", "", &y.text(*tick));
    }
    for tick in &x.ticks {
        let at = across(x, *tick);
        line(out, (at, area.top), (at, bottom), "stroke=\"#efefef\"");
    }
    line(out, (LEFT, area.top), (LEFT, bottom), "stroke=\"#666\"");
    line(out, (LEFT, bottom), (right, bottom), "stroke=\"#666\"");
    let middle = area.top + area.height / 2.0;
    let turned = format!("transform=\"rotate(-90 16 {})\"", figure(middle));
    text(out, (16.0, middle), "middle", &turned, &panel.y.label);
    for (bound, _) in panel.limits.iter().filter(|(n, _)| n.is_finite()) {
        let down = area.down(&y, *bound);
        line(out, (LEFT, down), (right, down), &dashed());
    }
    for (n, series) in panel.series.iter().enumerate() {
        draw_series(out, series, COLOURS[n % COLOURS.len()], (x, &y), area);
    }
    legend(out, panel, area.top - 8.0);
}

/// Names stand above the panel, where no line can run through them.
fn legend(out: &mut String, panel: &Panel, down: f64) {
    let series = panel.series.iter().enumerate().map(|(n, series)| {
        (format!("stroke=\"{}\" stroke-width=\"2.5\"", COLOURS[n % COLOURS.len()]), series.name.as_str())
    });
    let limits = panel.limits.iter().filter(|(n, _)| n.is_finite()).map(|(_, label)| (dashed(), label.as_str()));
    let mut at = LEFT;
    for (style, name) in series.chain(limits).filter(|(_, name)| !name.is_empty()) {
        line(out, (at, down - 4.0), (at + 18.0, down - 4.0), &style);
        text(out, (at + 23.0, down), "start", "", name);
        at += 23.0 + LETTER * name.chars().count() as f64 + 18.0;
    }
}

fn dashed() -> String {
    format!("stroke=\"{LIMIT}\" stroke-dasharray=\"6 4\"")
}

fn draw_series(out: &mut String, series: &Series, colour: &str, (x, y): (&Scale, &Scale), area: &Area) {
    let mut path = String::new();
    let mut dots = String::new();
    let mut before: Option<f64> = None;
    for (at, value) in &series.points {
        if !(at.is_finite() && value.is_finite()) {
            before = None;
            continue;
        }
        let (right, down) = (across(x, *at), area.down(y, *value));
        match (before, series.shape) {
            (None, _) => path += &format!("M{} {}", figure(right), figure(down)),
            // A value that goes on needs no point of its own.
            (Some(last), Shape::Steps) if figure(last) == figure(down) => path += &format!("H{}", figure(right)),
            (Some(_), Shape::Steps) => path += &format!("H{}V{}", figure(right), figure(down)),
            (Some(_), _) => path += &format!("L{} {}", figure(right), figure(down)),
        }
        before = Some(down);
        if series.shape == Shape::Dots {
            let _ = writeln!(
                dots,
                "<circle cx=\"{}\" cy=\"{}\" r=\"3.5\" fill=\"{colour}\"/>",
                figure(right),
                figure(down)
            );
        }
    }
    if !path.is_empty() {
        let style = "stroke-width=\"1.8\" stroke-linejoin=\"round\"";
        let _ = writeln!(out, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" {style}/>");
    }
    out.push_str(&dots);
}

fn draw_mark(out: &mut String, mark: &Mark, x: &Scale, area: &Area) {
    if !mark.x.is_finite() || !(0.0..=1.0).contains(&x.share(mark.x)) {
        return;
    }
    let at = across(x, mark.x);
    line(out, (at, area.top), (at, area.top + area.height), &format!("stroke=\"{GREY}\" stroke-dasharray=\"2 3\""));
    // The word stands where there is room for it.
    let to_the_left = at + LETTER * mark.label.chars().count() as f64 > WIDTH - RIGHT;
    let (anchor, aside) = if to_the_left { ("end", -5.0) } else { ("start", 5.0) };
    text(out, (at + aside, area.top + 13.0), anchor, &format!("fill=\"{GREY}\""), &mark.label);
}

fn line(out: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64), style: &str) {
    let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(figure);
    let _ = writeln!(out, "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" {style}/>");
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, style: &str, what: &str) {
    if what.is_empty() {
        return;
    }
    let space = if style.is_empty() { "" } else { " " };
    let (x, y, what) = (figure(x), figure(y), escaped(what));
    let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\"{space}{style}>{what}</text>");
}

/// A coordinate: tenths of a pixel are finer than anybody sees.
fn figure(n: f64) -> String {
    let text = format!("{n:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Text between tags. What XML has no place for is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
