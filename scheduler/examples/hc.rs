fn main() {
    let args: Vec<String> = std::env::args().collect();
    let text = std::fs::read_to_string(&args[1]).unwrap();
    let scop = polyhedral::testing::scop(&polyhedral::isl::Ctx::new(), &text);
    let mut target = support::Target::from_toml(include_str!("../../tilewright/targets/znver5.toml")).unwrap();
    target.threads = args[2].parse().unwrap();
    let session = transform::Session::new(scop, &target).unwrap();
    let start = std::time::Instant::now();
    let (problem, forms, report) = scheduler::fuse::candidates(&session).unwrap();
    let took = start.elapsed();
    if args.len() > 3 {
        for (one, form) in problem.candidates.iter().zip(forms) {
            println!("{:?} {form} {}", one.nests, one.cost);
        }
    }
    print!("{report}");
    println!("{} candidates in {took:?}", problem.candidates.len());
}
