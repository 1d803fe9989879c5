; What an x86-64 processor says of itself, each word zero where it says nothing.

; The registers a, b, c and d that `cpuid` answers with. Compilers may keep an address in rbx, so it is put back.
define internal { i32, i32, i32, i32 } @cpuid(i32 %leaf, i32 %part) nounwind {
  %answer = call { i32, i32, i32, i32 } asm "xchgq %rbx, ${1:q}\0A\09cpuid\0A\09xchgq %rbx, ${1:q}", "={ax},=r,={cx},={dx},0,2,~{dirflag},~{fpsr},~{flags}"(i32 %leaf, i32 %part)
  ret { i32, i32, i32, i32 } %answer
}

; The same of a leaf that the processor may not have, of those up to `last`.
define internal { i32, i32, i32, i32 } @leaf(i32 %leaf, i32 %part, i32 %last) nounwind {
  %there = icmp ule i32 %leaf, %last
  br i1 %there, label %ask, label %none
ask:
  %answer = call { i32, i32, i32, i32 } @cpuid(i32 %leaf, i32 %part)
  ret { i32, i32, i32, i32 } %answer
none:
  ret { i32, i32, i32, i32 } zeroinitializer
}

; Which registers the system saves when it switches threads: XCR0, as far as 32 bits go.
define internal i32 @saved(i32 %features) nounwind {
  %bit = and i32 %features, 134217728 ; OSXSAVE
  %there = icmp ne i32 %bit, 0
  br i1 %there, label %ask, label %none
ask:
  %answer = call { i32, i32 } asm sideeffect ".byte 0x0f, 0x01, 0xd0", "={ax},={dx},{cx},~{dirflag},~{fpsr},~{flags}"(i32 0)
  %low = extractvalue { i32, i32 } %answer, 0
  ret i32 %low
none:
  ret i32 0
}

; The words of `X86` in features.rs, in their order.
define internal void @words(ptr %words) nounwind {
  %zero = call { i32, i32, i32, i32 } @cpuid(i32 0, i32 0)
  %last = extractvalue { i32, i32, i32, i32 } %zero, 0
  %zero.extended = call { i32, i32, i32, i32 } @cpuid(i32 -2147483648, i32 0)
  %last.extended = extractvalue { i32, i32, i32, i32 } %zero.extended, 0
  %one = call { i32, i32, i32, i32 } @leaf(i32 1, i32 0, i32 %last)
  %one.c = extractvalue { i32, i32, i32, i32 } %one, 2
  call void @word(ptr %words, i64 0, i32 %one.c)
  %seven = call { i32, i32, i32, i32 } @leaf(i32 7, i32 0, i32 %last)
  %parts = extractvalue { i32, i32, i32, i32 } %seven, 0
  %seven.b = extractvalue { i32, i32, i32, i32 } %seven, 1
  call void @word(ptr %words, i64 1, i32 %seven.b)
  %seven.c = extractvalue { i32, i32, i32, i32 } %seven, 2
  call void @word(ptr %words, i64 2, i32 %seven.c)
  %seven.d = extractvalue { i32, i32, i32, i32 } %seven, 3
  call void @word(ptr %words, i64 3, i32 %seven.d)
  ; The second part of leaf 7 is there when the first says so.
  %has.part = icmp uge i32 %parts, 1
  %last.seven = select i1 %has.part, i32 %last, i32 0
  %second = call { i32, i32, i32, i32 } @leaf(i32 7, i32 1, i32 %last.seven)
  %second.a = extractvalue { i32, i32, i32, i32 } %second, 0
  call void @word(ptr %words, i64 4, i32 %second.a)
  %second.d = extractvalue { i32, i32, i32, i32 } %second, 3
  call void @word(ptr %words, i64 5, i32 %second.d)
  %extended = call { i32, i32, i32, i32 } @leaf(i32 -2147483647, i32 0, i32 %last.extended)
  %extended.c = extractvalue { i32, i32, i32, i32 } %extended, 2
  call void @word(ptr %words, i64 6, i32 %extended.c)
  %capacity = call { i32, i32, i32, i32 } @leaf(i32 -2147483640, i32 0, i32 %last.extended)
  %capacity.b = extractvalue { i32, i32, i32, i32 } %capacity, 1
  call void @word(ptr %words, i64 7, i32 %capacity.b)
  %state = call { i32, i32, i32, i32 } @leaf(i32 13, i32 1, i32 %last)
  %state.a = extractvalue { i32, i32, i32, i32 } %state, 0
  call void @word(ptr %words, i64 8, i32 %state.a)
  %saved = call i32 @saved(i32 %one.c)
  call void @word(ptr %words, i64 9, i32 %saved)
  ret void
}

define internal void @word(ptr %words, i64 %at, i32 %value) nounwind {
  %to = getelementptr i64, ptr %words, i64 %at
  %wide = zext i32 %value to i64
  store i64 %wide, ptr %to
  ret void
}
