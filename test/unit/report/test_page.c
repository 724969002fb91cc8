/* The HTML page: what is left out, linked, cut and escaped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "../support/repository.h"
#include "necoops/base/buf.h"
#include "necoops/report/page.h"

#define HOSTILE "<b>&\"'\x1b[31m\xff\xe2\x80\xae</title></script>"
#define SHOWN   "&lt;b&gt;&amp;&quot;&#39;\\x1b[31m\\xff\\u202e&lt;/title&gt;&lt;/script&gt;"

static char *written(const struct page *page)
{
    struct repository folder;
    autoerr struct err err = ERR_INIT;
    struct buf text = BUF_INIT(BUF_LARGE);

    repository_make(&folder);
    autofree char *path = path_join(folder.dir, "page.html");
    if (page_write(path, page, &err) != 0 || fs_read(path, &text, &err) != 0) {
        fail_msg("%s", err_text(&err));
    }
    repository_remove(&folder);
    return buf_steal(&text);
}

static struct page smallest(void)
{
    return (struct page){.title = "T", .result = "R", .headline = "H", .made_by = "me"};
}

static size_t count(const char *text, const char *piece)
{
    size_t found = 0;

    for (; (text = strstr(text, piece)); text++) {
        found++;
    }
    return found;
}

static void test_what_is_not_there_is_left_out(void **state)
{
    struct page page = smallest();
    autofree char *text = written(&page);

    (void)state;
    assert_non_null(strstr(text, "<h2 id=\"glance\">"));
    assert_null(strstr(text, "id=\"timeline\""));
    assert_null(strstr(text, "id=\"items\""));
    assert_null(strstr(text, "id=\"events\""));
    assert_null(strstr(text, "<dl"));
    assert_null(strstr(text, "Warnings"));
}

/* Hostile text at every place where text goes. */
static void test_hostile_text_is_text_everywhere(void **state)
{
    static const char *const notes[] = {HOSTILE};
    static const char *const heading[] = {HOSTILE, "B", NULL};
    static const char *const cells[] = {HOSTILE, NULL};
    struct page_table table = {HOSTILE, heading, cells, 1};
    struct page_fact fact = {HOSTILE, HOSTILE, "https://example.com/" HOSTILE};
    struct page_cause cause = {.text = HOSTILE "\n" HOSTILE,
                               .file = HOSTILE,
                               .line = 1,
                               .excerpt = HOSTILE "\nb\n",
                               .excerpt_line = 1};
    struct page_item item = {.name = HOSTILE,
                             .state = HOSTILE,
                             .tone = PAGE_BAD,
                             .message = HOSTILE,
                             .facts = {&fact, 1},
                             .causes = &cause,
                             .causes_len = 1,
                             .table = &table};
    struct page_span span = {0, 5, PAGE_BAD, HOSTILE};
    struct page_bar bar = {HOSTILE, HOSTILE, &span, 1};
    struct page_lane lane = {HOSTILE, &bar, 1};
    struct page_event event = {1, PAGE_BAD, HOSTILE, HOSTILE};
    struct page page = {.title = HOSTILE,
                        .result = HOSTILE,
                        .headline = HOSTILE,
                        .ms = 10,
                        .facts = {&fact, 1},
                        .notes = notes,
                        .notes_len = 1,
                        .lanes = &lane,
                        .lanes_len = 1,
                        .items_name = HOSTILE,
                        .items = &item,
                        .items_len = 1,
                        .events = &event,
                        .events_len = 1,
                        .made_by = HOSTILE};
    autofree char *text = written(&page);

    (void)state;
    assert_null(strstr(text, "<b>"));
    assert_null(strstr(text, "</script>"));
    assert_null(strchr(text, '\x1b'));
    assert_null(strchr(text, '\xff'));
    assert_null(strstr(text, "\xe2\x80\xae"));
    assert_int_equal(count(text, "</title>"), 1);
    assert_int_equal(count(text, SHOWN), 33); /* that URL is no link */
}

static void test_only_http_is_linked(void **state)
{
    static const char *const urls[] = {"https://a.example/x?a=1&b=2",
                                       "http://a.example",
                                       "javascript:alert(1)",
                                       "data:text/html,x",
                                       "//x",
                                       "x",
                                       "https:",
                                       ""};
    struct page page = smallest();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct page_fact fact = {"name", "value", urls[i]};

        page.facts = (struct page_facts){&fact, 1};
        autofree char *text = written(&page);
        assert_int_equal(count(text, "<a rel="), i < 2);
        if (i == 0) {
            assert_non_null(strstr(text, "href=\"https://a.example/x?a=1&amp;b=2\">value</a>"));
        }
    }
}

static void test_a_megabyte_is_cut_and_that_is_said(void **state)
{
    size_t len = 1 << 20;
    autofree char *log = xmalloc(len + 3);
    struct page_cause cause = {.text = log};
    struct page_item item = {.name = "x", .state = "failed", .causes = &cause, .causes_len = 1};
    struct page page = smallest();

    (void)state;
    log[0] = 'a';
    log[1] = '\n';
    for (size_t i = 2; i < len; i += 2) {
        memcpy(log + i, "\xc3\xa9", 2);
    }
    log[len] = '\0';
    page.items = &item;
    page.items_len = 1;
    page.items_name = "Applications";
    autofree char *text = written(&page);
    assert_true(strlen(text) < 60000);
    assert_non_null(strstr(text, "\xc3\xa9\xe2\x80\xa6 (1015806 more bytes)</pre>"));
    assert_null(strstr(text, "\\xc3"));
}

static void test_a_bar_stays_within_the_page(void **state)
{
    struct page_span spans[] = {{-5, 5, PAGE_WAIT, "early"}, {5, 500, PAGE_GOOD, "late"}};
    struct page_bar bar = {"x", "note", spans, 2};
    struct page_lane lane = {"lane", &bar, 1};
    struct page page = smallest();

    (void)state;
    page.lanes = &lane;
    page.lanes_len = 1;
    page.ms = 10;
    autofree char *text = written(&page);
    assert_non_null(
        strstr(text, "class=\"wait\" style=\"left:0.00%;width:50.00%\" title=\"early\""));
    assert_non_null(
        strstr(text, "class=\"good\" style=\"left:50.00%;width:50.00%\" title=\"late\""));
    page.ms = 0;
    autofree char *none = written(&page);
    assert_non_null(strstr(none, "left:0.00%;width:0.00%"));
}

static void test_the_marked_line_of_an_excerpt(void **state)
{
    struct page_cause cause = {
        .text = "why", .file = "a.yaml", .line = 8, .excerpt = "six\n\neight", .excerpt_line = 6};
    struct page_item item = {.name = "x", .state = "failed", .causes = &cause, .causes_len = 1};
    struct page page = smallest();

    (void)state;
    page.items = &item;
    page.items_len = 1;
    page.items_name = "Applications";
    autofree char *text = written(&page);
    assert_non_null(strstr(text, "<figcaption><span class=\"place\">a.yaml:8</span></figcaption>"));
    assert_non_null(strstr(text, "<span class=\"number\">   6</span> six\n"
                                 "<span class=\"number\">   7</span> \n"
                                 "<mark><span class=\"number\">   8</span> eight</mark>\n"));
}

static void test_a_page_that_cannot_be_written(void **state)
{
    struct page page = smallest();
    autoerr struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(page_write("/nowhere/at/all.html", &page, &err), -1);
    assert_non_null(strstr(err_text(&err), "'/nowhere/at/all.html'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_not_there_is_left_out),
        cmocka_unit_test(test_hostile_text_is_text_everywhere),
        cmocka_unit_test(test_only_http_is_linked),
        cmocka_unit_test(test_a_megabyte_is_cut_and_that_is_said),
        cmocka_unit_test(test_a_bar_stays_within_the_page),
        cmocka_unit_test(test_the_marked_line_of_an_excerpt),
        cmocka_unit_test(test_a_page_that_cannot_be_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
