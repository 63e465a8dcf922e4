// The one main of the doctest suite; every other file here holds the cases of one module.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
