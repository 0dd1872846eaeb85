//! Codes through a table: one by one, or 64 at a time where the processor can.
//!
//! Belongs here: rows of codes that no kernel has in registers. Does not: tiles (see the kernels).

/// Fewer codes than this are looked up one by one.
#[cfg(target_arch = "x86_64")]
const WORTH_WHILE: usize = 16;

/// Writes `table[code]` for each code; both are equally long.
#[inline]
pub(in crate::infer::int8) fn translate(codes: &[u8], table: &[u8; 256], out: &mut [u8]) {
    debug_assert_eq!(codes.len(), out.len());
    #[cfg(target_arch = "x86_64")]
    if codes.len() >= WORTH_WHILE && is_x86_feature_detected!("avx512vbmi") && is_x86_feature_detected!("avx512bw") {
        // SAFETY: the processor was just asked; both have so many bytes.
        return unsafe { super::avx512::translate(codes, table, out) };
    }
    out.iter_mut().zip(codes).for_each(|(o, &c)| *o = table[usize::from(c)]);
}
