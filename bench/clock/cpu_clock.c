// Main-thread CPU time in microseconds, for the benchmarks only. Wall clock on a shared machine flatters code that makes no garbage.
#include <node_api.h>
#include <time.h>

static napi_value now(napi_env env, napi_callback_info info) {
    (void)info;
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    napi_value value;
    napi_create_double(env, (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3, &value);
    return value;
}

NAPI_MODULE_INIT() {
    napi_value function;
    napi_create_function(env, "now", NAPI_AUTO_LENGTH, now, 0, &function);
    return function;
}
