/* What a test of a client needs: a scripted server, a run whose environment points at it, and what
 * was logged. */
#ifndef TEST_SUPPORT_CLIENT_H
#define TEST_SUPPORT_CLIENT_H

#include "http_server.h"
#include "necoops/base/err.h"
#include "necoops/base/strv.h"
#include "necoops/http/http.h"

struct client {
    struct server server;
    struct run run;
    struct strv environ;
    struct http *http;
    char *log_text;
    size_t log_len;
    FILE *log_stream;
};

static void client_setenv(struct client *client, const char *name, const char *value)
{
    strv_addf(&client->environ, "%s=%s", name, value);
    client->run.environ = (const char *const *)client->environ.items;
}

static void client_start(struct client *client)
{
    struct err err = ERR_INIT;

    memset(client, 0, sizeof(*client));
    server_start(&client->server);
    client->log_stream = open_memstream(&client->log_text, &client->log_len);
    client->run = (struct run){.clock = &clock_system,
                               .wake_fd = -1,
                               .deadline = RUN_NO_DEADLINE,
                               .log = log_new(client->log_stream, "test", LOG_TEXT, LOG_TRACE)};
    client_setenv(client, "NECOOPS_EMULATOR", client->server.url);
    if (http_new(&client->run, &client->http, &err) < 0)
        abort();
}

static void client_stop(struct client *client)
{
    http_free(client->http);
    server_stop(&client->server);
    log_free(client->run.log);
    fclose(client->log_stream);
    free(client->log_text);
    strv_clear(&client->environ);
}

__attribute__((unused)) static const char *client_log(struct client *client)
{
    fflush(client->log_stream);
    return client->log_text;
}

__attribute__((unused)) static void client_answer(struct client *client, int status,
                                                  const char *body)
{
    server_add(&client->server, (struct step){.status = status,
                                              .headers = "Content-Type: application/json\r\n",
                                              .body = body});
}

#endif
