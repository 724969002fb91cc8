/* necoops-agent(1): options in, library call. */
#include "necoops/agent/agent.h"
#include "necoops/cli/cli.h"

static const char *port;
static const char *state;

static int run(struct cli *cli, struct err *err)
{
    const char *root = run_env(&cli->run, "NECOOPS_ROOT");
    autofree char *port_path = xasprintf("%s/dev/ttyS1", root ? root : "");
    autofree char *state_path = xasprintf("%s/var/lib/necoops/agent", root ? root : "");
    const struct agent_options options = {.port = port ? port : port_path,
                                          .state = state ? state : state_path};

    if (cli->dry_run) {
        printf("serve requests for this instance: answers to '%s', records in '%s'\n", options.port,
               options.state);
        return 0;
    }
    return agent_run(&cli->run, cli->conf, &options, err);
}

static const struct opt opts[] = {
    {OPT_STRING, 0, "port", "DEVICE", "serial port for the answers; default: /dev/ttyS1", &port},
    {OPT_STRING, 0, "state", "DIR", "folder of the records; default: /var/lib/necoops/agent",
     &state},
    {OPT_FLAG, .name = NULL},
};

static const struct cli_tool tool = {
    .name = "necoops-agent",
    .synopsis = "[options]",
    .summary = "On the instance: run snapshot-load and deploy for CI, and report.",
    .description =
        "Requests come through the instance's metadata, answers go out over its second "
        "serial\n"
        "port: no open port, no SSH. The startup script starts it; it serves until it is "
        "ended.",
    .opts = opts,
    .examples = "  necoops-agent                        as the startup script does\n",
    .run = run,
};

int main(int argc, char **argv)
{
    return cli_main(&tool, argc, argv);
}
