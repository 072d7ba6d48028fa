//! tmp
mod bench;
mod time;
use clap::Parser;
#[derive(Parser)]
struct A {
    #[command(flatten)]
    b: bench::BenchArgs,
    #[arg(long)]
    json: bool,
}
fn main() {
    let a = A::parse();
    bench::run(&a.b, a.json, &mut std::io::stdout()).unwrap();
}
