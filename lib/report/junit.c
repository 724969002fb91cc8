#include "necoops/report/junit.h"

#include "necoops/base/buf.h"
#include "necoops/base/fs.h"
#include "necoops/base/timefmt.h"
#include "report/page.h"

#define FILE_CAP  (BUF_LARGE / 4)
#define TEXT_MOST ((size_t)256 << 10)

static void add_attribute(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, " %s=\"", name);
    page_add_text(out, value, PAGE_LINE_MOST);
    buf_addc(out, '"');
}

static void add_seconds(struct buf *out, int64_t ms)
{
    buf_addf(out, " time=\"%lld.%03lld\"", (long long)(ms / 1000), (long long)(ms % 1000));
}

static const char *element(enum junit_outcome outcome)
{
    switch (outcome) {
    case JUNIT_FAILED:
        return "failure";
    case JUNIT_ERROR:
        return "error";
    default:
        return "skipped";
    }
}

static void add_case(struct buf *out, const struct junit_case *one)
{
    buf_adds(out, "  <testcase");
    add_attribute(out, "name", one->name);
    add_attribute(out, "classname", one->classname);
    if (one->file) {
        add_attribute(out, "file", one->file);
    }
    if (one->line > 0) {
        buf_addf(out, " line=\"%d\"", one->line);
    }
    add_seconds(out, one->ms);
    if (one->outcome == JUNIT_PASSED) {
        buf_adds(out, "/>\n");
        return;
    }
    buf_addf(out, ">\n    <%s", element(one->outcome));
    add_attribute(out, "message", one->message ? one->message : "");
    buf_addc(out, '>');
    page_add_text(out, one->text, TEXT_MOST);
    buf_addf(out, "</%s>\n  </testcase>\n", element(one->outcome));
}

static size_t count(const struct junit_suite *suite, enum junit_outcome outcome)
{
    size_t found = 0;

    for (size_t i = 0; i < suite->len; i++) {
        found += suite->cases[i].outcome == outcome;
    }
    return found;
}

static void add_counts(struct buf *out, const struct junit_suite *suite)
{
    buf_addf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\"", suite->len,
             count(suite, JUNIT_FAILED), count(suite, JUNIT_ERROR));
    add_seconds(out, suite->ms);
}

int junit_write(const char *path, const struct junit_suite *suite, struct err *err)
{
    autobuf struct buf out = BUF_INIT(FILE_CAP);

    buf_adds(&out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites");
    add_counts(&out, suite);
    buf_adds(&out, ">\n <testsuite");
    add_attribute(&out, "name", suite->name);
    add_counts(&out, suite);
    buf_addf(&out, " skipped=\"%zu\"", count(suite, JUNIT_SKIPPED));
    add_attribute(&out, "timestamp", time_rfc3339(suite->started_ms).text);
    buf_adds(&out, ">\n");
    for (size_t i = 0; i < suite->len; i++) {
        add_case(&out, &suite->cases[i]);
    }
    buf_adds(&out, " </testsuite>\n</testsuites>\n");
    if (out.overflowed) {
        return err_set(err, ERR_FAILED, "the JUnit report '%s' would be larger than %zu bytes",
                       path, out.cap);
    }
    return fs_write(path, out.data, out.len, 0644, err);
}
