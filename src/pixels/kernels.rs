//! The arithmetic on rows, in plain Rust: what every processor computes, to the last bit. Faster forms stand in `simd.rs`.
//!
//! Samples between the steps are 8.6 fixed point: 8 bits before the point keep the sums of the colour matrix within 16 bits, which is
//! what makes sixteen of them fit a register.

use super::color::YuvToRgb;

/// The upper half of a product, as `pmulhw` computes it.
#[inline(always)]
fn mul_high(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b)) >> 16) as i16
}

#[inline(always)]
pub(super) fn blend(top: u8, bottom: u8, weight_q15: i16) -> i16 {
    let difference = (i16::from(bottom) - i16::from(top)) << 7;
    (i16::from(top) << 6) + mul_high(difference, weight_q15)
}

/// Blends two rows of bytes into one of 8.6 samples.
#[inline(always)]
pub(super) fn blend_rows(top: &[u8], bottom: &[u8], weight_q15: i16, out: &mut [i16]) {
    for ((o, &t), &b) in out.iter_mut().zip(top).zip(bottom) {
        *o = blend(t, b, weight_q15);
    }
}

/// The same for rows of two interleaved channels, which it parts.
#[inline(always)]
pub(super) fn blend_rows_of_two(top: &[u8], bottom: &[u8], weight_q15: i16, out: [&mut [i16]; 2]) {
    let [first, second] = out;
    let pairs = top.as_chunks::<2>().0.iter().zip(bottom.as_chunks::<2>().0);
    for ((f, s), (t, b)) in first.iter_mut().zip(second).zip(pairs) {
        *f = blend(t[0], b[0], weight_q15);
        *s = blend(t[1], b[1], weight_q15);
    }
}

/// The same for rows of three interleaved channels.
#[inline(always)]
pub(super) fn blend_rows_of_three(top: &[u8], bottom: &[u8], weight_q15: i16, out: [&mut [i16]; 3]) {
    let [first, second, third] = out;
    let triples = top.as_chunks::<3>().0.iter().zip(bottom.as_chunks::<3>().0);
    for (((f, s), h), (t, b)) in first.iter_mut().zip(second).zip(third).zip(triples) {
        *f = blend(t[0], b[0], weight_q15);
        *s = blend(t[1], b[1], weight_q15);
        *h = blend(t[2], b[2], weight_q15);
    }
}

/// Mixes each pair of neighbours by its weights.
#[inline(always)]
pub(super) fn mix_pairs(pairs: &[[i16; 2]], weights: &[[i16; 2]], out: &mut [i16]) {
    for ((o, p), w) in out.iter_mut().zip(pairs).zip(weights) {
        let sum = i32::from(p[0]) * i32::from(w[0]) + i32::from(p[1]) * i32::from(w[1]);
        *o = ((sum + (1 << 14)) >> 15) as i16;
    }
}

#[inline(always)]
fn to_byte(sample: i16) -> u8 {
    (sample.saturating_add(32) >> 6).clamp(0, 255) as u8
}

/// Rounds 8.6 samples to bytes.
#[inline(always)]
pub(super) fn round_row(samples: &[i16], out: &mut [u8]) {
    for (o, &s) in out.iter_mut().zip(samples) {
        *o = to_byte(s);
    }
}

/// Turns rows of Y, U and V into rows of R, G and B.
#[inline(always)]
pub(super) fn yuv_to_rgb(k: &YuvToRgb, yuv: [&[i16]; 3], rgb: [&mut [u8]; 3]) {
    let [red, green, blue] = rgb;
    let samples = yuv[0].iter().zip(yuv[1]).zip(yuv[2]);
    for (((r, g), b), ((&y, &u), &v)) in red.iter_mut().zip(green).zip(blue).zip(samples) {
        let (y, u, v) = (y - k.black, u - (128 << 6), v - (128 << 6));
        // Four times a chroma sample just fits 16 bits: -128 in 8.6 becomes -32768.
        let (u4, v4) = (u << 2, v << 2);
        let luma = y + mul_high(y << 1, k.luma);
        *r = to_byte(luma.saturating_add(v + mul_high(v4, k.red_v)));
        *g = to_byte(luma - mul_high(u4, k.green_u) - mul_high(v4, k.green_v));
        *b = to_byte(luma.saturating_add(u + mul_high(u4, k.blue_u)));
    }
}

/// Scales bytes to floats. Product and sum are rounded one after the other, since not every processor has a fused form.
#[inline(always)]
pub(super) fn scale_row(bytes: &[u8], scale: f32, offset: f32, out: &mut [f32]) {
    for (o, &b) in out.iter_mut().zip(bytes) {
        *o = f32::from(b) * scale + offset;
    }
}

/// Puts rows of three channels together, pixel after pixel; the bytes of a pixel beyond them become `rest`.
#[inline(always)]
pub(super) fn interleave(rows: [&[u8]; 3], pixel_bytes: usize, rest: u8, out: &mut [u8]) {
    weave(rows, pixel_bytes, rest, out, |_, byte| byte);
}

/// The same with each byte looked up in its channel's table.
#[inline(always)]
pub(super) fn look_up(tables: &[[u8; 256]; 3], rows: [&[u8]; 3], pixel_bytes: usize, rest: u8, out: &mut [u8]) {
    weave(rows, pixel_bytes, rest, out, |c, byte| tables[c][usize::from(byte)]);
}

#[inline(always)]
fn weave(rows: [&[u8]; 3], pixel_bytes: usize, rest: u8, out: &mut [u8], code: impl Fn(usize, u8) -> u8) {
    let pixels = rows[0].iter().zip(rows[1]).zip(rows[2]).map(|((&f, &s), &t)| [code(0, f), code(1, s), code(2, t)]);
    // Sizes that the compiler knows become a store or two a pixel.
    match pixel_bytes {
        3 => out.as_chunks_mut::<3>().0.iter_mut().zip(pixels).for_each(|(o, p)| *o = p),
        4 => out.as_chunks_mut::<4>().0.iter_mut().zip(pixels).for_each(|(o, [f, s, t])| *o = [f, s, t, rest]),
        _ => {
            for (o, p) in out.chunks_exact_mut(pixel_bytes.max(3)).zip(pixels) {
                let (three, others) = o.split_at_mut(3);
                three.copy_from_slice(&p);
                others.fill(rest);
            }
        }
    }
}
