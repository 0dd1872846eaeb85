//! One convolution, computed so many times by one kernel: what an emulator counts and a clock measures.
//!
//! Usage: `peregrine-arm KERNEL HEIGHT WIDTH IN OUT SIZE STRIDE TIMES`, height and width those of the output. Prints the products of one
//! computation and its nanoseconds, which mean something on hardware alone.

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<usize> = args.iter().skip(1).filter_map(|a| a.parse().ok()).collect();
    let &[height, width, channels_in, channels_out, size, stride, times] = numbers.as_slice() else {
        eprintln!("usage: peregrine-arm KERNEL HEIGHT WIDTH IN OUT SIZE STRIDE TIMES");
        std::process::exit(64);
    };
    let shape = peregrine_arm::Shape { height, width, channels_in, channels_out, size, stride };
    match peregrine_arm::measure(&args[0], shape, times) {
        Ok((products, ns)) => println!("products {products} ns {ns}"),
        Err(why) => {
            eprintln!("{why}");
            std::process::exit(64);
        }
    }
}
