// Embind's JavaScript side for functions that take and give numbers and booleans only, which is all the planner's door has (wasm/bindings.cpp). The general
// one, with its type registry, overloads and converters of strings, costs 4 kB of a first visit. A binding of any other type answers as its raw number;
// what leaves Wasm is made a boolean or an unsigned number by the type that Embind registered, what goes in is coerced by the engine.
mergeInto(LibraryManager.library, {
  $embindReads: {},
  _embind_register_bool__deps: ['$embindReads'],
  _embind_register_bool: function (type) { embindReads[type] = (value) => !!value; },
  _embind_register_integer__deps: ['$embindReads'],
  _embind_register_integer: function (type, name, size, lowest) { if (lowest === 0) embindReads[type] = (value) => value >>> 0; },
  _embind_register_function__deps: ['$embindReads'],
  _embind_register_function: function (name, count, types, signature, invoker, target) {
    let text = '';
    while (HEAPU8[name]) text += String.fromCharCode(HEAPU8[name++]);
    const call = wasmTable.get(invoker), read = embindReads[HEAP32[types >> 2]] || ((value) => value);
    Module[text] = (...values) => read(call(target, ...values));
  },
  _embind_register_void__deps: [],
  _embind_register_void: function () {},
  _embind_register_float__deps: [],
  _embind_register_float: function () {},
  _embind_register_bigint__deps: [],
  _embind_register_bigint: function () {},
  _embind_register_std_string__deps: [],
  _embind_register_std_string: function () {},
  _embind_register_std_wstring__deps: [],
  _embind_register_std_wstring: function () {},
  _embind_register_memory_view__deps: [],
  _embind_register_memory_view: function () {},
  _embind_register_emval__deps: [],
  _embind_register_emval: function () {},
});
