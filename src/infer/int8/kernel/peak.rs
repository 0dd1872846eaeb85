//! How many products a second the processor's best instruction for them can make: the wall that layers are measured against.
//!
//! Belongs here: nothing but that instruction, in a loop that keeps a dozen sums apart, for as long as it is asked to. Does not: clocks.

use std::arch::asm;

/// Sums that are kept apart, so that none waits for the one before.
const APART: usize = 12;

/// Runs the instruction of the kernel of this name `turns` times for each of the sums and says how many products that was; None when
/// there is no such loop for it.
pub(in crate::infer::int8) fn spin(kernel: &str, turns: u32) -> Option<u64> {
    let lanes = match kernel {
        "avx512-vnni" | "avx512-vnni-novbmi" => {
            // SAFETY: kernels of this name are listed only where the processor has the instruction; registers alone are touched.
            unsafe { dot_512(turns) };
            64
        }
        "avx-vnni" => {
            // SAFETY: as above.
            unsafe { dot_256(turns) };
            32
        }
        "avx2" => {
            // SAFETY: as above.
            unsafe { madd_256(turns) };
            16
        }
        _ => return None,
    };
    Some(u64::from(turns) * APART as u64 * lanes)
}

/// One loop of twelve instructions, each on a sum of its own.
macro_rules! looped {
    ($name:ident, $feature:literal, $clear:literal, $op:literal, $reg:literal) => {
        #[target_feature(enable = $feature)]
        unsafe fn $name(turns: u32) {
            // SAFETY: registers alone, all of which are named as clobbered.
            unsafe {
                asm!(
                    concat!($clear, " ", $reg, "12, ", $reg, "12, ", $reg, "12"),
                    "2:",
                    concat!($op, " ", $reg, "0, ", $reg, "12, ", $reg, "12"),
                    concat!($op, " ", $reg, "1, ", $reg, "12, ", $reg, "12"),
                    concat!($op, " ", $reg, "2, ", $reg, "12, ", $reg, "12"),
                    concat!($op, " ", $reg, "3, ", $reg, "12, ", $reg, "12"),
                    concat!($op, " ", $reg, "4, ", $reg, "12, ", $reg, "12"),
                    concat!($op, " ", $reg, "5, ", $reg, "12, ", $reg, "12"),
                    concat!($op, " ", $reg, "6, ", $reg, "12, ", $reg, "12"),
                    concat!($op, " ", $reg, "7, ", $reg, "12, ", $reg, "12"),
                    concat!($op, " ", $reg, "8, ", $reg, "12, ", $reg, "12"),
                    concat!($op, " ", $reg, "9, ", $reg, "12, ", $reg, "12"),
                    concat!($op, " ", $reg, "10, ", $reg, "12, ", $reg, "12"),
                    concat!($op, " ", $reg, "11, ", $reg, "12, ", $reg, "12"),
                    "dec {turns:e}",
                    "jnz 2b",
                    turns = inout(reg) turns.max(1) => _,
                    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
                    out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                    out("xmm12") _,
                    options(nostack, nomem),
                );
            }
        }
    };
}

looped!(dot_512, "avx512f,avx512vnni", "vpxord", "vpdpbusd", "zmm");
looped!(dot_256, "avx2,avxvnni", "vpxor", "{{vex}} vpdpbusd", "ymm");
looped!(madd_256, "avx2", "vpxor", "vpmaddwd", "ymm");
