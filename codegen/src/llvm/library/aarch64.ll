; What the system says of a 64-bit ARM processor: the words of `AARCH64` in features.rs, in their order.

declare i64 @getauxval(i64) nounwind

define internal void @words(ptr %words) nounwind {
  %first = call i64 @getauxval(i64 16) ; AT_HWCAP
  store i64 %first, ptr %words
  %second = call i64 @getauxval(i64 26) ; AT_HWCAP2
  %to = getelementptr i64, ptr %words, i64 1
  store i64 %second, ptr %to
  %length.at = getelementptr i64, ptr %words, i64 2
  store i64 0, ptr %length.at
  %bit = and i64 %first, 4194304 ; HWCAP_SVE
  %scalable = icmp ne i64 %bit, 0
  br i1 %scalable, label %ask, label %out
ask:
  %length = call i64 asm ".inst 0x04bf5020", "={x0}"() ; rdvl x0, #1: the bytes of a vector
  store i64 %length, ptr %length.at
  br label %out
out:
  ret void
}
