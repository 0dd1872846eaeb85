//! The greatest of some pixels, channel by channel.
//!
//! Belongs here: a plain loop that compilers make vectors of, compiled for what the processor has. Does not: windows (see `layer`).

/// Channels that are held in registers while the taps go by.
const CHUNK: usize = 64;

/// Raises each channel of `out` to the greatest code of all taps.
///
/// # Safety
/// Each tap can be read for as many bytes as `out` has, and nobody writes there.
pub(in crate::infer::int8) unsafe fn raise(taps: &[*const u8], out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor was just asked; the rest is the caller's promise.
        return unsafe { with_avx2(taps, out) };
    }
    // SAFETY: the caller's promise.
    unsafe { plain(taps, out) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn with_avx2(taps: &[*const u8], out: &mut [u8]) {
    // SAFETY: the caller's promise.
    unsafe { plain(taps, out) }
}

#[inline(always)]
unsafe fn plain(taps: &[*const u8], out: &mut [u8]) {
    let mut chunks = out.chunks_exact_mut(CHUNK);
    let mut at = 0;
    for out in &mut chunks {
        let mut most = [0u8; CHUNK];
        most.copy_from_slice(out);
        for tap in taps {
            // SAFETY: as long as `out`, by the caller's promise.
            let tap = unsafe { &*tap.add(at).cast::<[u8; CHUNK]>() };
            most.iter_mut().zip(tap).for_each(|(m, &c)| *m = (*m).max(c));
        }
        out.copy_from_slice(&most);
        at += CHUNK;
    }
    let rest = chunks.into_remainder();
    for tap in taps {
        // SAFETY: as above.
        let tap = unsafe { std::slice::from_raw_parts(tap.add(at), rest.len()) };
        rest.iter_mut().zip(tap).for_each(|(m, &c)| *m = (*m).max(c));
    }
}
