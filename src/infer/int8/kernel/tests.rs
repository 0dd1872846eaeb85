//! Every kernel that this processor has against the oracle: any shape, any stride, extremes of codes, weights and zero points.

use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert_eq, proptest};
use proptest::{collection, sample};

use super::{Call, Depthwise, Dest, Kernel, Mix, Residual, Run, Split, all, choose, pack};

/// One row to compute, with everything that may go wrong about it.
#[derive(Debug, Clone)]
struct Case {
    runs: Vec<Run>,
    channels: usize,
    step: usize,
    pixels: usize,
    zero: u8,
    scale: f32,
    cut: (usize, usize),
    has_residual: bool,
    extremes: bool,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let runs = collection::vec((0usize..40, 1usize..30).prop_map(|(offset, bytes)| Run { offset, bytes }), 1..5);
    let scale = sample::select(vec![1e-9f32, 3.3e-5, 7.7e-4, 0.01, 0.49]);
    let numbers = (1usize..100, 1usize..60, 1usize..40, any::<u8>(), scale);
    let rest = (0.0f64..1.0, 0.0f64..1.0, any::<bool>(), any::<bool>(), any::<u64>());
    (runs, numbers, rest).prop_map(
        |(runs, (channels, step, pixels, zero, scale), (a, b, has_residual, extremes, seed))| {
            let from = (a * channels as f64) as usize;
            let to = from + 1 + (b * (channels - from - 1) as f64) as usize;
            Case { runs, channels, step, pixels, zero, scale, cut: (from, to), has_residual, extremes, seed }
        },
    )
}

/// A small generator of our own, so that a case is one seed and not a thousand numbers.
struct Noise(u64);

impl Noise {
    fn byte(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 56) as u8
    }
}

/// What a kernel makes of a case: a whole tensor, and a slice of channels through a table with a residual.
fn computed(kernel: &dyn Kernel, case: &Case) -> (Vec<u8>, Vec<u8>) {
    let mut noise = Noise(case.seed);
    let extreme = |b: u8| if case.extremes { if b & 1 == 0 { 0 } else { 255 } } else { b };
    let depth: usize = case.runs.iter().map(|r| r.bytes).sum();
    let weights: Vec<i8> = (0..depth * case.channels)
        .map(|_| {
            if case.extremes { if noise.byte() & 1 == 0 { -127 } else { 127 } } else { (noise.byte() as i8).max(-127) }
        })
        .collect();
    let bias: Vec<i32> = (0..case.channels).map(|_| (i32::from(noise.byte()) - 128) * 500).collect();
    let scale: Vec<f32> = (0..case.channels).map(|_| case.scale * (1.0 + f32::from(noise.byte()) / 256.0)).collect();
    let input: Vec<u8> = (0..case.pixels * case.step + 200).map(|_| extreme(noise.byte())).collect();
    let table: [u8; 256] = std::array::from_fn(|_| noise.byte());
    let other: Vec<u8> = (0..case.pixels * case.channels).map(|_| noise.byte()).collect();
    let values: [f32; 256] = std::array::from_fn(|_| (f32::from(noise.byte()) - 100.0) * case.scale);
    let mix = Mix::new(values, (0.013, 77), (1.0 / f32::from(noise.byte().max(1)), noise.byte()));

    let packed = pack(kernel, &case.runs, &weights, &bias, &scale);
    let (from, to) = case.cut;
    let (whole_step, slice_step) = (case.channels, to - from + 3);
    let (mut whole, mut slice) = (vec![0u8; case.pixels * whole_step], vec![0u8; case.pixels * slice_step]);
    for block in &packed.blocks {
        let mut dests = vec![Dest {
            table: std::ptr::null(),
            out: whole[block.first..].as_mut_ptr(),
            step: whole_step,
            from: 0,
            to: block.channels,
            residual: None,
        }];
        let (lo, hi) = (from.max(block.first), to.min(block.first + block.channels));
        if lo < hi {
            let codes = other[lo..].as_ptr();
            dests.push(Dest {
                table: &table,
                out: slice[lo - from..].as_mut_ptr(),
                step: slice_step,
                from: lo - block.first,
                to: hi - block.first,
                residual: case.has_residual.then_some(Residual { codes, step: case.channels, mix: &mix }),
            });
        }
        let call = Call { runs: &case.runs, block, step: case.step, zero: case.zero, dests: &dests };
        // SAFETY: the input has 200 bytes more than the runs reach; the tensors have room for every pixel.
        unsafe { kernel.row(&call, input.as_ptr(), case.pixels) };
    }
    (whole, slice)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_kernel_gives_the_oracle_s_bytes(case in cases()) {
        let oracle = all().last().expect("the oracle is always there");
        let want = computed(*oracle, &case);
        for kernel in all() {
            prop_assert_eq!(&computed(*kernel, &case), &want, "{}", kernel.name());
        }
    }

    /// A filter for each channel is a full filter whose other weights are zero.
    #[test]
    fn depthwise_gives_the_oracle_s_bytes(taps in 1usize..12, channels in 1usize..70, pixels in 1usize..20, zero in any::<u8>(), seed in any::<u64>()) {
        let mut noise = Noise(seed);
        let weights: Vec<i8> = (0..channels * taps).map(|_| noise.byte().cast_signed().max(-127)).collect();
        let bias: Vec<i32> = (0..channels).map(|_| (i32::from(noise.byte()) - 128) * 100).collect();
        let scale: Vec<f32> = (0..channels).map(|_| f32::from(noise.byte()) * 1e-4).collect();
        let input: Vec<u8> = (0..(pixels + taps) * channels + 64).map(|_| noise.byte()).collect();
        let runs: Vec<Run> = (0..taps).map(|t| Run { offset: t * channels, bytes: channels }).collect();
        let mut full = vec![0i8; channels * taps * channels];
        for (c, t) in (0..channels).flat_map(|c| (0..taps).map(move |t| (c, t))) {
            full[(c * taps + t) * channels + c] = weights[c * taps + t];
        }
        let dest = |out: &mut Vec<u8>, first: usize, to: usize| Dest { out: out[first..].as_mut_ptr(), step: channels, to, ..Dest::NONE };
        let (mut want, mut got) = (vec![0u8; pixels * channels], vec![0u8; pixels * channels]);
        let oracle = *all().last().expect("the oracle is always there");
        for block in &pack(oracle, &runs, &full, &bias, &scale).blocks {
            let dests = [dest(&mut want, block.first, block.channels)];
            let call = Call { runs: &runs, block, step: channels, zero, dests: &dests };
            // SAFETY: the input is longer than the runs reach; the output has room for every pixel.
            unsafe { oracle.row(&call, input.as_ptr(), pixels) };
        }
        let dests = [dest(&mut got, 0, channels)];
        // SAFETY: as above.
        unsafe { Depthwise::new(&runs, &weights, &bias, &scale).row(input.as_ptr(), channels, zero, pixels, &dests) };
        prop_assert_eq!(got, want);
    }

    #[test]
    fn tiles_cover_a_row_evenly(pixels in 1usize..500, most in 1usize..17) {
        let tiles: Vec<_> = Split::of(pixels, most).tiles().collect();
        let mut next = 0;
        for &(first, count) in &tiles {
            prop_assert_eq!(first, next);
            next += count;
        }
        prop_assert_eq!(next, pixels);
        let counts = || tiles.iter().map(|t| t.1);
        let (least, greatest) = (counts().min().unwrap_or(0), counts().max().unwrap_or(0));
        assert!(greatest <= most && least + 1 >= greatest && tiles.len() == pixels.div_ceil(most));
    }
}

#[test]
fn a_kernel_that_is_not_here_is_refused_by_name() {
    assert_eq!(choose(Some("scalar")).map(Kernel::name), Ok("scalar"));
    assert_eq!(choose(None).map(Kernel::name), Ok(all()[0].name()));
    let refusal = choose(Some("sse9")).map(Kernel::name).expect_err("there is none");
    assert!(refusal.contains("sse9") && refusal.contains("scalar"), "{refusal}");
}
