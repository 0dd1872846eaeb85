//! Operators that move pixels and channels without computing anything new: joining, cutting, picking, pooling, resizing.
//!
//! Belongs here: what they mean, as `nodes` does for the others, and the windows of filters and pools. Does not: how it is done (see `moves`).

use super::super::onnx::graph::Node;
use super::build::Refusal;
use super::expr::{Expr, Kind, Pick, Window};
use super::nodes::{Entry, Lowering};

/// Sides of a filter, strides, pads, at most: beyond it a file is hostile.
const MAX_TAPS: usize = 64;

/// Pixels whose codes can be summed up in 32 bits.
const MAX_AVERAGED: usize = i32::MAX as usize / 255;
/// Numbers of a list, at most: sizes of a split, axes of a slice.
const MAX_LIST: usize = 1 << 10;

impl Lowering<'_> {
    pub(super) fn concat(&mut self, node: &Node<'_>) -> Result<Entry, Refusal> {
        if node.int("axis", 0) != 1 {
            return Err("it joins along another axis than the channels".to_owned());
        }
        let parts = (0..node.inputs.len()).map(|i| self.value(node, i)).collect::<Result<Vec<_>, _>>()?;
        let [_, h, w] = parts.first().ok_or("it has no inputs")?.expr.chw;
        if parts.iter().any(|p| p.is_flat || p.expr.chw[1..] != [h, w]) {
            return Err("it joins tensors of different sizes".to_owned());
        }
        let channels = parts.iter().map(|p| p.expr.chw[0]).sum();
        let expr = Expr::new([channels, h, w], Kind::Concat(parts.into_iter().map(|p| p.expr).collect()));
        Ok(Entry { expr: self.with_range(node.output(), expr), is_flat: false })
    }

    pub(super) fn split(&mut self, node: &Node<'_>) -> Result<Vec<Entry>, Refusal> {
        let Entry { expr, is_flat } = self.value(node, 0)?;
        let sizes = match (node.input(1), node.ints("split")) {
            (Some(name), _) => self.whole(name).ok_or("its sizes are no constant")?,
            (None, Some(sizes)) => sizes.to_vec(),
            (None, None) => vec![(expr.chw[0] / node.outputs.len().max(1)) as i64; node.outputs.len()],
        };
        let sizes: Vec<usize> = sizes.iter().filter_map(|&s| usize::try_from(s).ok().filter(|&s| s > 0)).collect();
        let total = sizes.iter().try_fold(0usize, |a, &b| a.checked_add(b));
        if node.int("axis", 0) != 1 || sizes.len() != node.outputs.len() || total != Some(expr.chw[0]) {
            return Err("it does not cut the channels into parts".to_owned());
        }
        let mut first = 0;
        let cut = sizes.into_iter().map(|n| {
            let expr = expr.part(first, n);
            first += n;
            Entry { expr, is_flat }
        });
        Ok(cut.collect())
    }

    pub(super) fn whole(&self, name: &str) -> Option<Vec<i64>> {
        self.few(name, MAX_LIST)?.ints()
    }

    pub(super) fn slice(&mut self, node: &Node<'_>) -> Result<Entry, Refusal> {
        let Entry { mut expr, is_flat } = self.value(node, 0)?;
        let list = |i: usize| node.input(i).and_then(|n| self.whole(n));
        let (starts, ends) = (list(1).ok_or("its starts are no constant")?, list(2).ok_or("its ends are no constant")?);
        let given = |i: usize, otherwise: Vec<i64>| if node.input(i).is_some() { list(i) } else { Some(otherwise) };
        let axes = given(3, (0..starts.len() as i64).collect()).ok_or("its axes are no constant")?;
        let steps = given(4, vec![1; starts.len()]).ok_or("its steps are no constant")?;
        if is_flat || starts.len() > 4 || [ends.len(), axes.len(), steps.len()].iter().any(|&n| n != starts.len()) {
            return Err("its lists have different lengths".to_owned());
        }
        for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
            let axis = if axis < 0 { axis.saturating_add(4) } else { axis };
            let axis = usize::try_from(axis).ok().filter(|a| (1..4).contains(a)).ok_or("it cuts the batch")?;
            let len = expr.chw[axis - 1];
            let within = |n: i64| if n < 0 { n.saturating_add(len as i64).max(0) } else { n.min(len as i64) } as usize;
            let (start, end) = (within(start), within(end));
            let step = usize::try_from(step).ok().filter(|&s| s > 0).ok_or("it goes backwards")?;
            if start >= end {
                return Err("it leaves nothing".to_owned());
            }
            let kept = (end - start).div_ceil(step);
            let pick = Pick { start, step, repeat: 1 };
            let mut chw = expr.chw;
            chw[axis - 1] = kept;
            expr = match axis {
                1 if step == 1 => expr.part(start, kept),
                1 => return Err("it picks channels with gaps".to_owned()),
                2 => sampled(&expr, chw, pick, Pick::ALL),
                _ => sampled(&expr, chw, Pick::ALL, pick),
            };
        }
        Ok(Entry { expr, is_flat })
    }

    pub(super) fn max_pool(&mut self, node: &Node<'_>) -> Result<Entry, Refusal> {
        let Entry { expr, .. } = self.value(node, 0)?;
        let (window, out_hw) = window(node, expr.chw, None)?;
        if node.outputs.len() > 1 {
            return Err("its indices are wanted".to_owned());
        }
        let natural = expr.natural;
        let expr = Expr::new([expr.chw[0], out_hw[0], out_hw[1]], Kind::Pool { of: expr, window });
        Ok(Entry { expr: expr.with_natural(natural), is_flat: false })
    }

    pub(super) fn resize(&mut self, node: &Node<'_>) -> Result<Entry, Refusal> {
        let Entry { expr, .. } = self.value(node, 0)?;
        let mode = node.text("mode").unwrap_or("nearest");
        let place = node.text("coordinate_transformation_mode").unwrap_or("half_pixel");
        let nearest = node.text("nearest_mode").unwrap_or("round_prefer_floor");
        let is_plain = matches!(
            (place, nearest),
            ("asymmetric", "floor") | ("half_pixel", "round_prefer_floor" | "round_prefer_ceil")
        );
        if mode != "nearest" || !is_plain {
            return Err(format!("it resizes by {mode}, {place}, {nearest}; covered is nearest, by whole factors"));
        }
        let [c, h, w] = expr.chw;
        let scales = node.input(2).and_then(|n| self.few(n, 4)).and_then(|t| t.floats()).filter(|s| s.len() == 4);
        let sizes = node.input(3).and_then(|n| self.whole(n)).filter(|s| s.len() == 4);
        let factors = match (scales, sizes) {
            (Some(s), _) if s[..2] == [1.0, 1.0] => [s[2], s[3]],
            (None, Some(s)) if s[..2] == [1, c as i64] => [s[2] as f32 / h as f32, s[3] as f32 / w as f32],
            _ => return Err("its factors are no constant, or not of height and width alone".to_owned()),
        };
        let whole = |f: f32| (f.fract() == 0.0 && (1.0..=64.0).contains(&f)).then_some(f as usize);
        let (Some(y), Some(x)) = (whole(factors[0]), whole(factors[1])) else {
            return Err(format!("it resizes by {} and {}; covered are whole factors", factors[0], factors[1]));
        };
        let repeat = |repeat| Pick { start: 0, step: 1, repeat };
        let natural = expr.natural;
        let kind = Kind::Sample { of: expr, y: repeat(y), x: repeat(x) };
        Ok(Entry {
            expr: Expr::new([c, h.saturating_mul(y), w.saturating_mul(x)], kind).with_natural(natural),
            is_flat: false,
        })
    }

    pub(super) fn average(&mut self, node: &Node<'_>) -> Result<Entry, Refusal> {
        let Entry { expr, .. } = self.value(node, 0)?;
        if expr.chw[1] * expr.chw[2] > MAX_AVERAGED {
            return Err("it averages so many pixels that their sum does not fit 32 bits".to_owned());
        }
        let expr = Expr::new([expr.chw[0], 1, 1], Kind::Average(expr));
        Ok(Entry { expr: self.with_range(node.output(), expr), is_flat: false })
    }

    pub(super) fn reduce_mean(&mut self, node: &Node<'_>) -> Result<Entry, Refusal> {
        let axes = node.ints("axes").map(<[i64]>::to_vec).or_else(|| self.whole(node.input(1)?));
        match axes.as_deref() {
            Some([2, 3] | [-2, -1]) => {
                let is_flat = node.int("keepdims", 1) == 0;
                Ok(Entry { is_flat, ..self.average(node)? })
            }
            _ => Err("it averages over other axes than height and width".to_owned()),
        }
    }

    /// Of a tensor with one pixel all shapes are the same.
    pub(super) fn flatten(&mut self, node: &Node<'_>) -> Result<Entry, Refusal> {
        let Entry { expr, .. } = self.value(node, 0)?;
        let listed = node.input(1).map_or_else(|| node.ints("axes").map(<[i64]>::to_vec), |n| self.whole(n));
        let keeps_channels = match (node.op.as_str(), listed.as_deref()) {
            ("Flatten", _) => node.int("axis", 1) == 1,
            ("Reshape", Some(&[batch, -1])) => matches!(batch, 0 | 1),
            ("Reshape", Some(&[batch, channels])) => matches!(batch, -1..=1) && channels == expr.chw[0] as i64,
            ("Squeeze", Some([2, 3] | [-2, -1])) => true,
            _ => false,
        };
        if expr.chw[1..] != [1, 1] || !keeps_channels {
            return Err("it changes the shape of more than one pixel".to_owned());
        }
        Ok(Entry { expr, is_flat: true })
    }
}

/// Rows and columns picked, at once with those that were picked before.
fn sampled(expr: &Expr, chw: [usize; 3], y: Pick, x: Pick) -> Expr {
    let joined = match &*expr.kind {
        Kind::Sample { of, y: by, x: bx } => {
            y.after(*by).zip(x.after(*bx)).map(|(y, x)| Kind::Sample { of: of.clone(), y, x })
        }
        _ => None,
    };
    let kind = joined.unwrap_or_else(|| Kind::Sample { of: expr.clone(), y, x });
    Expr::new(chw, kind).with_natural(expr.natural)
}

/// A convolution's or pool's window, and the height and width that come out.
pub(super) fn window(
    node: &Node<'_>,
    chw: [usize; 3],
    size: Option<[usize; 2]>,
) -> Result<(Window, [usize; 2]), Refusal> {
    let odd = |what: &str| format!("its {what} make no sense");
    if !matches!(node.text("auto_pad"), None | Some("NOTSET" | "VALID")) {
        return Err("it pads by auto_pad; covered are pads in numbers".to_owned());
    }
    let pair = |name: &str, otherwise: [usize; 2]| match node.ints(name) {
        None => Ok(otherwise),
        Some([a, b]) => match (usize::try_from(*a), usize::try_from(*b)) {
            (Ok(a), Ok(b)) if (1..=MAX_TAPS).contains(&a) && (1..=MAX_TAPS).contains(&b) => Ok([a, b]),
            _ => Err(odd(name)),
        },
        Some(_) => Err(odd(name)),
    };
    let size = match size {
        Some(size) => size,
        None => pair("kernel_shape", [0, 0])?,
    };
    let (stride, dilation) = (pair("strides", [1, 1])?, pair("dilations", [1, 1])?);
    let pads = node.ints("pads").unwrap_or(&[0; 4]);
    let pads: Vec<usize> = pads.iter().filter_map(|&p| usize::try_from(p).ok().filter(|&p| p <= MAX_TAPS)).collect();
    let &[top, left, bottom, right] = pads.as_slice() else { return Err(odd("pads")) };
    if size.contains(&0) || size.iter().any(|&s| s > MAX_TAPS) {
        return Err(odd("kernel_shape"));
    }
    let ceil = node.int("ceil_mode", 0) == 1;
    let out = |i: usize, before: usize, after: usize| {
        let reach = (size[i] - 1) * dilation[i] + 1;
        let room = (chw[i + 1] + before + after).checked_sub(reach)?;
        let steps = if ceil { room.div_ceil(stride[i]) } else { room / stride[i] };
        // A last window that would begin beyond the picture does not count.
        let beyond = ceil && steps * stride[i] >= chw[i + 1] + before;
        Some(steps + 1 - usize::from(beyond))
    };
    let (Some(h), Some(w)) = (out(0, top, bottom), out(1, left, right)) else {
        return Err("its window is larger than the picture".to_owned());
    };
    Ok((Window { size, stride, pad: [top, left], dilation }, [h, w]))
}
