; What is the same in every library: parallel loops on the caller's threads, and what a failed check tells.
;
; It is text, since it reads like the C that it stands for; what depends on the definition is built by the other files of
; this folder and calls these functions. The layouts are those of `runtime::abi` (checked in mod.rs) and of the header
; `tilewright.h`.

; runtime::abi::Context: parallel, report, workspace, math, state.
%context = type { ptr, ptr, ptr, ptr, ptr }
; runtime::abi::Fault: code, check, value, lower, extent, found_by.
%fault = type { i32, i32, i64, i64, i64, ptr }
; tilewright_call: abi, parallel, pool, workspace, workspace_bytes, fault.
%call = type { i32, ptr, ptr, ptr, i64, ptr }
; tilewright_fault: tensor, dim, is_unsigned, value, lower, upper, found_by, count, at.
%told = type { ptr, i32, i32, i64, i64, i64, ptr, i64, [8 x i64] }
; A check of a kernel: the tensor's name, its dimension, whether the subscript has no sign, the names of the tensors that it
; was found in, how many subscripts their elements have.
%check = type { ptr, i32, i32, ptr, i64 }

; What a context's `state` points to, of a call or of the part of one that runs some iterations: the caller's tilewright_call,
; the checks of the kernel, whether a fault was reported, which.
%state = type { ptr, ptr, i32, %told }
; A parallel loop: context, body, closure, iterations, how many have run, the first iteration of the earliest part that
; failed, the lock of what follows, its status, whether it reported a fault, which.
%task = type { ptr, ptr, ptr, i64, i64, i64, i32, i32, i32, %told }

; runtime::abi::Parallel. Without threads of the caller, and for one iteration, it is a call of the body.
define internal i32 @parallel(ptr %context, ptr %body, ptr %closure, i64 %count) nounwind {
  %task = alloca %task
  %state.at = getelementptr %context, ptr %context, i32 0, i32 4
  %state = load ptr, ptr %state.at
  %call = load ptr, ptr %state
  %threads.at = getelementptr %call, ptr %call, i32 0, i32 1
  %threads = load ptr, ptr %threads.at
  %none = icmp slt i64 %count, 1
  br i1 %none, label %empty, label %some

empty:
  ret i32 0

some:
  %without = icmp eq ptr %threads, null
  %one = icmp eq i64 %count, 1
  %here = or i1 %without, %one
  br i1 %here, label %alone, label %shared

alone:
  %own = call i32 %body(ptr %context, ptr %closure, i64 0, i64 %count)
  ret i32 %own

shared:
  store ptr %context, ptr %task
  %body.at = getelementptr %task, ptr %task, i32 0, i32 1
  store ptr %body, ptr %body.at
  %closure.at = getelementptr %task, ptr %task, i32 0, i32 2
  store ptr %closure, ptr %closure.at
  %count.at = getelementptr %task, ptr %task, i32 0, i32 3
  store i64 %count, ptr %count.at
  %done.at = getelementptr %task, ptr %task, i32 0, i32 4
  store i64 0, ptr %done.at
  %failed.at = getelementptr %task, ptr %task, i32 0, i32 5
  store i64 9223372036854775807, ptr %failed.at
  %lock.at = getelementptr %task, ptr %task, i32 0, i32 6
  store i32 0, ptr %lock.at
  %status.at = getelementptr %task, ptr %task, i32 0, i32 7
  store i32 0, ptr %status.at
  %has.at = getelementptr %task, ptr %task, i32 0, i32 8
  store i32 0, ptr %has.at
  %pool.at = getelementptr %call, ptr %call, i32 0, i32 2
  %pool = load ptr, ptr %pool.at
  call void %threads(ptr %pool, ptr @part, ptr %task, i64 %count)
  ; Whoever ran the last part has told the caller's threads so, and they us: what it wrote is here.
  %status = load atomic i32, ptr %status.at acquire, align 4
  %is.failed = icmp ne i32 %status, 0
  br i1 %is.failed, label %failed, label %ran

ran:
  %done = load atomic i64, ptr %done.at acquire, align 8
  %whole = icmp eq i64 %done, %count
  %result = select i1 %whole, i32 0, i32 POOL
  ret i32 %result

failed:
  %has = load i32, ptr %has.at
  %told.at = getelementptr %task, ptr %task, i32 0, i32 9
  call void @keep(ptr %state, i32 %has, ptr %told.at)
  ret i32 %status
}

; The tilewright_body of a parallel loop: runs iterations, with a state of their own, so that it is known which ones a report
; is from. Iterations that a loop of them does not have are left out, and the loop then finds some missing.
define internal void @part(ptr %task, i64 %begin, i64 %end) nounwind {
  %context = alloca %context
  %state = alloca %state
  %count.at = getelementptr %task, ptr %task, i32 0, i32 3
  %count = load i64, ptr %count.at
  %before = icmp slt i64 %begin, 0
  %behind = icmp sgt i64 %end, %count
  %empty = icmp sge i64 %begin, %end
  %outside = or i1 %before, %behind
  %nothing = or i1 %outside, %empty
  br i1 %nothing, label %out, label %inside

inside:
  ; What comes behind a failure need not run.
  %failed.at = getelementptr %task, ptr %task, i32 0, i32 5
  %failed = load atomic i64, ptr %failed.at monotonic, align 8
  %is.behind = icmp slt i64 %failed, %begin
  br i1 %is.behind, label %out, label %run

run:
  %outer = load ptr, ptr %task
  %contents = load %context, ptr %outer
  store %context %contents, ptr %context
  %outer.state.at = getelementptr %context, ptr %outer, i32 0, i32 4
  %outer.state = load ptr, ptr %outer.state.at
  %state.at = getelementptr %context, ptr %context, i32 0, i32 4
  store ptr %state, ptr %state.at
  %call = load ptr, ptr %outer.state
  store ptr %call, ptr %state
  %outer.checks.at = getelementptr %state, ptr %outer.state, i32 0, i32 1
  %checks = load ptr, ptr %outer.checks.at
  %checks.at = getelementptr %state, ptr %state, i32 0, i32 1
  store ptr %checks, ptr %checks.at
  %has.at = getelementptr %state, ptr %state, i32 0, i32 2
  store i32 0, ptr %has.at
  %body.at = getelementptr %task, ptr %task, i32 0, i32 1
  %body = load ptr, ptr %body.at
  %closure.at = getelementptr %task, ptr %task, i32 0, i32 2
  %closure = load ptr, ptr %closure.at
  %status = call i32 %body(ptr %context, ptr %closure, i64 %begin, i64 %end)
  %ok = icmp eq i32 %status, 0
  br i1 %ok, label %ran, label %lock

lock:
  %lock.at = getelementptr %task, ptr %task, i32 0, i32 6
  %pair = cmpxchg ptr %lock.at, i32 0, i32 1 acquire monotonic
  %got = extractvalue { i32, i1 } %pair, 1
  br i1 %got, label %locked, label %lock

locked:
  %other = load atomic i64, ptr %failed.at monotonic, align 8
  %is.first = icmp slt i64 %begin, %other
  br i1 %is.first, label %first, label %unlock

first:
  store atomic i64 %begin, ptr %failed.at monotonic, align 8
  %status.at = getelementptr %task, ptr %task, i32 0, i32 7
  store atomic i32 %status, ptr %status.at monotonic, align 4
  %has = load i32, ptr %has.at
  %task.has.at = getelementptr %task, ptr %task, i32 0, i32 8
  store i32 %has, ptr %task.has.at
  %told.at = getelementptr %state, ptr %state, i32 0, i32 3
  %task.told.at = getelementptr %task, ptr %task, i32 0, i32 9
  %is.told = icmp ne i32 %has, 0
  br i1 %is.told, label %tell, label %unlock

tell:
  %told = load %told, ptr %told.at
  store %told %told, ptr %task.told.at
  br label %unlock

unlock:
  store atomic i32 0, ptr %lock.at release, align 4
  br label %ran

ran:
  %length = sub i64 %end, %begin
  %done.at = getelementptr %task, ptr %task, i32 0, i32 4
  %earlier = atomicrmw add ptr %done.at, i64 %length release
  br label %out

out:
  ret void
}

; Keeps what was told, when there is something, unless an earlier fault is there.
define internal void @keep(ptr %state, i32 %has, ptr %told) nounwind {
  %has.at = getelementptr %state, ptr %state, i32 0, i32 2
  %earlier = load i32, ptr %has.at
  %is.told = icmp ne i32 %has, 0
  %is.first = icmp eq i32 %earlier, 0
  %new = and i1 %is.told, %is.first
  br i1 %new, label %write, label %out

write:
  store i32 1, ptr %has.at
  %told.at = getelementptr %state, ptr %state, i32 0, i32 3
  %contents = load %told, ptr %told
  store %told %contents, ptr %told.at
  br label %out

out:
  ret void
}

; runtime::abi::Report: what the caller's tilewright_fault gets, kept until the call ends.
define internal void @report(ptr %context, ptr %fault) nounwind {
  %told = alloca %told
  %state.at = getelementptr %context, ptr %context, i32 0, i32 4
  %state = load ptr, ptr %state.at
  %checks.at = getelementptr %state, ptr %state, i32 0, i32 1
  %checks = load ptr, ptr %checks.at
  %number.at = getelementptr %fault, ptr %fault, i32 0, i32 1
  %number = load i32, ptr %number.at
  %check = getelementptr %check, ptr %checks, i32 %number
  %contents = load %check, ptr %check
  %tensor = extractvalue %check %contents, 0
  %dim = extractvalue %check %contents, 1
  %is.unsigned = extractvalue %check %contents, 2
  %found.by = extractvalue %check %contents, 3
  %count = extractvalue %check %contents, 4
  %value.at = getelementptr %fault, ptr %fault, i32 0, i32 2
  %value = load i64, ptr %value.at
  %lower.at = getelementptr %fault, ptr %fault, i32 0, i32 3
  %lower = load i64, ptr %lower.at
  %extent.at = getelementptr %fault, ptr %fault, i32 0, i32 4
  %extent = load i64, ptr %extent.at
  %subscript = add i64 %value, %lower
  %upper = add i64 %lower, %extent
  store ptr %tensor, ptr %told
  %to.dim = getelementptr %told, ptr %told, i32 0, i32 1
  store i32 %dim, ptr %to.dim
  %to.unsigned = getelementptr %told, ptr %told, i32 0, i32 2
  store i32 %is.unsigned, ptr %to.unsigned
  %to.value = getelementptr %told, ptr %told, i32 0, i32 3
  store i64 %subscript, ptr %to.value
  %to.lower = getelementptr %told, ptr %told, i32 0, i32 4
  store i64 %lower, ptr %to.lower
  %to.upper = getelementptr %told, ptr %told, i32 0, i32 5
  store i64 %upper, ptr %to.upper
  %to.found.by = getelementptr %told, ptr %told, i32 0, i32 6
  store ptr %found.by, ptr %to.found.by
  %to.count = getelementptr %told, ptr %told, i32 0, i32 7
  store i64 %count, ptr %to.count
  %to.at = getelementptr %told, ptr %told, i32 0, i32 8
  store [8 x i64] zeroinitializer, ptr %to.at
  %subscripts.at = getelementptr %fault, ptr %fault, i32 0, i32 5
  %subscripts = load ptr, ptr %subscripts.at
  %many = icmp ugt i64 %count, 8
  %kept = select i1 %many, i64 8, i64 %count
  br label %next

next:
  %n = phi i64 [ 0, %0 ], [ %n.after, %copy ]
  %more = icmp ult i64 %n, %kept
  br i1 %more, label %copy, label %out

copy:
  %from = getelementptr i64, ptr %subscripts, i64 %n
  %at = load i64, ptr %from
  %to = getelementptr i64, ptr %to.at, i64 %n
  store i64 %at, ptr %to
  %n.after = add i64 %n, 1
  br label %next

out:
  call void @keep(ptr %state, i32 1, ptr %told)
  ret void
}
