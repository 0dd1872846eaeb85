//! What an owner relies on.
use std::time::Duration;

use super::simulation::{Camera, Engine, run};
use super::*;
use crate::config::Priority::{self, High, Low, Medium};

#[test]
fn explore() {
    let secs = Duration::from_secs;
    let mut r = 12345u64;
    let mut rnd = move || { r = r.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407); (r >> 33) as f64 / (1u64 << 31) as f64 };
    let mut worst: Vec<(f64, String)> = vec![];
    for case in 0..300 {
        let n = if case % 2 == 0 { 2 + (rnd() * 10.0) as usize } else { 2 + (rnd() * 126.0) as usize };
        let cams: Vec<Camera> = (0..n).map(|_| Camera {
            fps: 5.0 + rnd() * 25.0, phase: rnd(), jitter: 0.2 * rnd(),
            wish: Wish { rate_hz: if rnd() < 0.4 { Some(0.5 + rnd() * 14.5) } else { None }, priority: [High, Medium, Low][(rnd() * 3.0) as usize], max_age: None },
            comes: Duration::ZERO, leaves: secs(1_000_000) }).collect();
        let wanted: f64 = cams.iter().map(|c| c.fps.min(c.wish.rate_hz.unwrap_or(f64::INFINITY))).sum();
        let overload = 1.1 + rnd() * 4.0;
        let max_batch = 1 + (rnd() * 8.0) as usize;
        // capacity at full batch
        let per = max_batch as f64 / (wanted / overload) * 1e3; // ms per full batch
        let a = rnd();
        let engine = Engine { start_ms: per * a, each_ms: per * (1.0 - a) / max_batch as f64, noise: 0.2 * rnd(), workers: 1 };
        let settings = config::Schedule { window: Duration::from_millis((rnd() * 5.0) as u64), max_batch, target_p95: Duration::from_millis(100 + (rnd() * 400.0) as u64) };
        let length = secs((300.0 * n as f64 / (wanted / overload)).max(60.0) as u64);
        let out = run(&settings, &cams, engine, (secs(60), secs(60) + length), case);
        let t = length.as_secs_f64();
        let cap = out.taken() as f64 / t;
        let runs = out.batches as f64 / t;
        let demands: Vec<Demand> = cams.iter().enumerate().map(|(i, c)| Demand { rate_hz: c.fps.min(c.wish.rate_hz.unwrap_or(f64::INFINITY)).min((out.fates[i].chances as f64) / t), priority: c.wish.priority }).collect();
        let demands: Vec<Demand> = demands; let ent = entitled(cap, &demands);
        if case == 171 || case == 298 { for i in 0..n { println!("  {case} {i} fps {:.2} {:?} {:?} ent {:.3} got {:.3} level {:.4} displaced {} gap {:?}", cams[i].fps, cams[i].wish.rate_hz, cams[i].wish.priority, ent[i], out.fates[i].taken as f64/t, out.fates[i].taken as f64/t/weight(cams[i].wish.priority) as f64, out.fates[i].displaced, out.fates[i].gap); } }
        let mut w = (0.0, String::new());
        for i in 0..n {
            let got = out.fates[i].taken as f64 / t;
            let dev = got / ent[i] - 1.0;
            if f64::abs(dev) > f64::abs(w.0) { w = (dev, format!("cam fps {:.1} {:?} ent {:.2} got {:.2}", cams[i].fps, cams[i].wish, ent[i], got)); }
        }
        let s = format!("case {case} n {n} overload {overload:.2} maxb {max_batch} a {a:.2} fullper {per:.1}ms cap {cap:.1} wanted {wanted:.1} runs {runs:.1} size {:?} worst {:+.3} {} idled {}", out.sizes.last(), w.0, w.1, out.idled);
        worst.push((w.0.abs(), s));
    }
    worst.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (_, s) in worst.iter().take(25) { println!("{s}"); }
    let over = worst.iter().filter(|w| w.0 > 0.05).count();
    println!("{over} of {} over 5%", worst.len());
}
