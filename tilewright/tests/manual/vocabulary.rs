//! The tables of `docs/vocabulary.md`: each row with a script runs it, each option and function that a row names is there,
//! and no command of the systems is left out.

use std::collections::BTreeMap;
use std::process::Command;

use transform::{COMMANDS, Policy, Script, Session};

/// What each table must have a row for.
const THEIRS: [(&str, &str); 5] = [
    (
        "Tiramisu",
        "after then before between fuse_after after_low_level tile split split_with_lower_bound interchange shift skew \
         loop_reversal unroll vectorize tag_unroll_level tag_vector_level parallelize tag_parallel_level \
         tag_distribute_level drop_rank_iter gpu_tile tag_gpu_level tag_gpu_block_level tag_gpu_thread_level compute_at \
         set_inline store_in store_at storage_fold auto_buffer allocate_and_map_buffer_automatically \
         allocate_and_map_buffers_automatically allocate_at deallocate_at set_auto_allocate set_auto_deallocate \
         set_automatic_gpu_copy host_to_device device_to_host tag_gpu_global tag_gpu_shared tag_gpu_local \
         tag_gpu_register tag_gpu_constant cache_shared set_schedule set_low_level_schedule \
         apply_transformation_on_schedule set_access add_predicate add_definitions get_update get_last_update separate \
         separate_at separateAndSplit create_xfer send recv send_recv wait gen_communication collapse collapse_many \
         set_src set_dest override_msg_tag xfer_prop memcpy allocate sync cublas_sgemm spmv block \
         perform_full_dependency_analysis prepare_schedules_for_legality_checks check_legality_of_function \
         check_partial_legality_in_function involved_subset_of_dependencies_is_legal loop_parallelization_is_legal \
         loop_vectorization_is_legal loop_unrolling_is_legal correcting_loop_fusion_with_shifting \
         skewing_local_solver skewing_local_solver_positive skewing_local_solver_3D_solver_positive",
    ),
    (
        "Halide",
        "split TailStrategy::RoundUp TailStrategy::GuardWithIf TailStrategy::Predicate TailStrategy::PredicateLoads \
         TailStrategy::PredicateStores TailStrategy::ShiftInwards TailStrategy::ShiftInwardsAndBlend \
         TailStrategy::RoundUpAndBlend TailStrategy::Auto tile fuse reorder rename serial parallel vectorize unroll \
         partition never_partition never_partition_all always_partition always_partition_all specialize \
         specialize_fail atomic allow_race_conditions rfactor eager_inline unscheduled compute_root compute_at \
         compute_inline compute_with store_root store_at hoist_storage hoist_storage_root in clone_in copy_to_device \
         copy_to_host reorder_storage align_storage fold_storage bound_storage ring_buffer store_in set_dim_type \
         change_type bound bound_extent align_bounds align_extent set_estimate set_estimates gpu gpu_blocks \
         gpu_threads gpu_lanes gpu_single_thread gpu_tile host prefetch async memoize hexagon sme_streaming \
         stream_loads stream_stores no_profiling debug_to_file add_custom_lowering_pass print_loop_nest \
         apply_autoscheduler",
    ),
    (
        "PPCG",
        "--target --openmp --tile --tile-size --sizes --dump-sizes --shared-memory --private-memory \
         --max-shared-memory --unroll-copy-shared --unroll-gpu-tile --hybrid --isolate-full-tiles --wrap \
         --scale-tile-loops --live-range-reordering --group-chains --reschedule --save-schedule --load-schedule --ctx \
         --assume-non-negative-parameters --linearize-device-arrays --allow-gnu-extensions --opencl-compiler-options \
         --opencl-use-gpu --opencl-include-file --opencl-print-kernel-types --opencl-embed-kernel-code \
         --dump-schedule-constraints --dump-schedule --dump-final-schedule",
    ),
    (
        "Pluto",
        "--tile --second-level-tile --determine-tile-size --cache-size --data-element-size tile.sizes --parallel \
         --multipar --innerpar --forceparallel --diamond-tile --full-diamond-tile --intratileopt --prevector \
         --unrolljam --ufactor --nofuse --maxfuse --smartfuse --typedfuse --hybridfuse --delayedcut --iss --rar \
         --lastwriter --isldep --candldep --isldepaccesswise --isldepstmtwise --isldepcoalesce --islsolve --pipsolve \
         --glpk --gurobi --lp --dfp --ilp --lpcolor --clusterscc --per-cc-obj --flic --coeff-bound --nodepbound \
         --codegen-context --cloogf --cloogl --cloogsh --cloogbacktrack --ft --lt --identity --readscop --pet .fst \
         .precut",
    ),
    (
        "Exo",
        "simplify rename make_instr insert_pass insert_noop_call delete_pass reorder_stmts parallelize_loop \
         commute_expr left_reassociate_expr rewrite_expr bind_expr extract_subproc inline replace call_eqv \
         set_precision set_window set_memory bind_config delete_config write_config resize_dim expand_dim \
         rearrange_dim divide_dim mult_dim unroll_buffer lift_alloc sink_alloc autolift_alloc delete_buffer \
         reuse_buffer inline_window stage_mem divide_with_recompute divide_loop mult_loops join_loops cut_loop \
         shift_loop reorder_loops merge_writes split_write fold_into_reduce inline_assign lift_reduce_constant fission \
         autofission fuse remove_loop add_loop unroll_loop lift_scope eliminate_dead_code specialize add_unsafe_guard \
         unsafe_disable_check unsafe_disable_checks unsafe_assert_eq vectorize tile_loops unroll_and_jam \
         interleave_loop hoist_from_loop parallelize_reduction cse round_loop",
    ),
];

/// Functions that rows may name.
const FUNCTIONS: [&str; 8] = [
    "Session::dependences",
    "Session::permutable",
    "Session::coincident",
    "Session::preview",
    "Policy::schedule",
    "Compiler::for_device",
    "Kernel::run",
    "Kernel::launch",
];

/// They are there, or this does not compile.
#[test]
fn functions_that_are_named_exist() {
    let _ = (Session::dependences, Session::permutable, Session::coincident, Session::preview);
    let _ = <scheduler::Cpu as Policy>::schedule;
    let _ = (tilewright::Compiler::for_device, tilewright::Kernel::run, tilewright::Kernel::launch);
    let _ = polyhedral::Scop::parse;
}

/// A row: what they call it, and the code in the cell beside it.
struct Row {
    system: String,
    theirs: Vec<String>,
    cell: String,
    ours: Vec<String>,
}

/// The page taken apart.
struct Page {
    rows: Vec<Row>,
    /// By name: the notation, the sizes, the text.
    programs: BTreeMap<String, (String, String, String)>,
    scripts: BTreeMap<String, String>,
}

fn page() -> Page {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/vocabulary.md");
    let text = std::fs::read_to_string(path).expect("the page is in the repository");
    let mut page = Page { rows: Vec::new(), programs: BTreeMap::new(), scripts: BTreeMap::new() };
    let (mut system, mut name) = (String::new(), String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix("## ") {
            system = heading.to_string();
        } else if let Some(info) = line.strip_prefix("```") {
            let body: String = lines.by_ref().take_while(|line| *line != "```").flat_map(|line| [line, "\n"]).collect();
            let (kind, sizes) = info.split_once(' ').unwrap_or((info, ""));
            if kind == "sched" {
                page.scripts.insert(name.clone(), body);
            } else {
                page.programs.insert(name.clone(), (kind.to_string(), sizes.to_string(), body));
            }
        } else if let Some(row) = row(&system, line) {
            page.rows.push(row);
        } else if line.starts_with('`') {
            name = code(line).remove(0);
        }
    }
    page
}

fn row(system: &str, line: &str) -> Option<Row> {
    let cells: Vec<&str> = line.strip_prefix("| ")?.split(" | ").collect();
    let theirs = code(cells[0]);
    let (cell, ours) = (cells.get(1)?.to_string(), code(cells[1]));
    let system = system.to_string();
    (!theirs.is_empty()).then_some(Row { system, theirs, cell, ours })
}

/// What stands between backquotes.
fn code(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(String::from).collect()
}

#[test]
fn no_command_is_left_out() {
    let page = page();
    for (system, names) in THEIRS {
        for name in names.split_whitespace() {
            let rows = page.rows.iter().filter(|row| row.system == system && row.theirs.iter().any(|one| one == name));
            assert_eq!(rows.count(), 1, "rows of {system} for `{name}`");
        }
    }
}

#[test]
fn what_is_said_to_be_ours_works() {
    let page = page();
    let mut wrong = Vec::new();
    let mut tried: BTreeMap<String, Result<(), String>> = BTreeMap::new();
    for row in &page.rows {
        let outcome = tried.entry(row.cell.clone()).or_insert_with(|| holds(&page, row));
        if let Err(error) = outcome {
            wrong.push(format!("{} {}: {error}", row.system, row.theirs.join(", ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn holds(page: &Page, row: &Row) -> Result<(), String> {
    if row.cell.starts_with("none: ") {
        return Ok(());
    }
    let first = row.ours.first().ok_or("neither a script nor a reason")?;
    if let Some((kind, sizes, text)) = page.programs.get(first) {
        let program = super::program(kind, sizes, text)?;
        let script = row.ours[1..].iter().map(|line| page.scripts.get(line).unwrap_or(line).as_str());
        return runs(program, &script.collect::<Vec<_>>().join("\n"));
    }
    row.ours.iter().try_for_each(|name| match name.strip_prefix("tilewright ") {
        Some(command) => has_options(command),
        None if FUNCTIONS.contains(&name.as_str()) || name == "Scop::parse" => Ok(()),
        None => Err(format!("`{name}` is neither a program, a function nor a command")),
    })
}

/// The script is taken, changes something, and changes no value. Sizes that it leaves open are 8.
fn runs(program: polyhedral::Scop, text: &str) -> Result<(), String> {
    let script: Script = text.parse().map_err(|error: transform::ScriptError| error.to_string())?;
    let source = Session::new(program.clone(), &super::target()).map_err(|refused| refused.to_string())?;
    let mut session = source.clone();
    session.replay_with(&script, &scheduler::Cpu).map_err(|refused| refused.to_string())?;
    let changed = session.scop().to_string() != source.scop().to_string();
    let automatic = script.commands().all(|command| command.name() == "auto");
    if !changed && !automatic {
        return Err("nothing is changed".into());
    }
    let named: Vec<&str> = script.commands().map(|command| command.name()).collect();
    assert!(named.iter().all(|name| COMMANDS.iter().any(|command| command.name == *name)));
    super::computes_the_same(&program, &session, "T=8")
}

/// A line like `run --schedule --target` names options that there are.
fn has_options(command: &str) -> Result<(), String> {
    let mut words = command.split_whitespace();
    let name = words.next().ok_or("no command")?;
    let help = Command::new(env!("CARGO_BIN_EXE_tilewright"))
        .args([name, "--help"])
        .output()
        .map_err(|error| error.to_string())?;
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let listed = |option: &str| help.split([' ', ',', '\n']).any(|word| word == option);
    match words.find(|option| !listed(option)) {
        _ if help.is_empty() => Err(format!("there is no command `{name}`")),
        Some(option) => Err(format!("`tilewright {name}` has no option `{option}`")),
        None => Ok(()),
    }
}
