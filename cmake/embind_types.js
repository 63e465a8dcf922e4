// Embind registers a converter for every type it knows; the door of the planner passes numbers, booleans and pointers only. The converters of the
// others, and the UTF-16 and UTF-32 code they need, stay out of the glue. A binding that wants one of them fails at its first call, by name.
mergeInto(LibraryManager.library, {
  _embind_register_std_string: function () {},
  _embind_register_std_wstring: function () {},
  _embind_register_memory_view: function () {},
  _embind_register_emval: function () {},
});
