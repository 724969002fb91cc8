/* The result as a table. */
#include "internal.h"

#include <string.h>
#include "necoops/base/timefmt.h"
#include "necoops/report/table.h"

#define MESSAGE_WIDTH 200

static enum table_color color_of(const struct deploy_app *app)
{
    switch (app->verdict) {
    case ARGOCD_DONE:
        return app->unproven ? TABLE_WAIT : TABLE_GOOD;
    case ARGOCD_FAILED:
        return TABLE_BAD;
    default:
        return TABLE_WAIT;
    }
}

static const char *message_of(const struct deploy_app *app)
{
    if (app->message[0]) {
        return app->message;
    }
    if (app->verdict == ARGOCD_DONE) {
        return app->untouched && !app->ms ? "already live" : "live";
    }
    return "its turn did not come";
}

static void add_row(struct table *table, const struct deploy_app *app)
{
    struct table_row *row = table_add(table, color_of(app));
    const char *message = message_of(app);
    size_t len = strcspn(message, "\n");

    strv_add(&row->cells, app->name);
    strv_addf(&row->cells, "%.12s", app->revision);
    strv_add(&row->cells, app->sync);
    strv_add(&row->cells, app->health);
    strv_add(&row->cells, app->ms ? duration_format(app->ms).text : "-");
    strv_addf(&row->cells, "%.*s%s", (int)(len > MESSAGE_WIDTH ? MESSAGE_WIDTH : len), message,
              len > MESSAGE_WIDTH ? "…" : "");
}

static void print_cause(const struct deploy_cause *cause, FILE *stream)
{
    autofree char *text = text_visible(cause->text, strlen(cause->text), true);
    autofree char *file =
        cause->file ? text_visible(cause->file, strlen(cause->file), false) : NULL;
    autostrv struct strv lines = STRV_INIT;

    strv_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.len; i++) {
        fprintf(stream, "%s%s\n", i == 0 ? "  " : "    ", lines.items[i]);
    }
    if (file && cause->line) {
        fprintf(stream, "    %s:%d%s\n", file, cause->line,
                cause->changed ? " (changed by this commit)" : "");
    } else if (file) {
        fprintf(stream, "    %s\n", file);
    }
}

static void print_causes(const struct deploy_app *app, FILE *stream)
{
    if (!app->causes_len) {
        return;
    }
    fprintf(stream, "\n%s:\n", app->name);
    for (size_t i = 0; i < app->causes_len; i++) {
        print_cause(&app->causes[i], stream);
    }
}

static void print_table(const struct deploy_result *result, FILE *stream, bool color)
{
    static const char *const heading[] = {"APPLICATION", "REVISION", "SYNC", "HEALTH",
                                          "TIME",        "MESSAGE",  NULL};
    autotable struct table table;

    table_init(&table, heading);
    for (size_t i = 0; i < result->len; i++) {
        add_row(&table, &result->apps[i]);
    }
    if (result->len) {
        table_print(&table, stream, color);
    }
    for (size_t i = 0; i < result->len; i++) {
        print_causes(&result->apps[i], stream);
    }
}

void deploy_print(const struct deploy_result *result, FILE *stream, bool color)
{
    if (result->output) {
        fputs(result->output, stream);
        return;
    }
    if (result->before) {
        fprintf(stream, "Before the upgrade, at %.12s:\n", result->before->revision);
        print_table(result->before, stream, color);
        fprintf(stream, "\nUpgraded to %.12s:\n", result->revision);
    }
    print_table(result, stream, color);
}
