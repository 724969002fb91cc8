/* Stand-ins for what would change the host: packet filters, power, services. */
#include "emulator/machine/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "necoops/base/fs.h"
#include "necoops/base/text.h"

/* ---- iptables, ip6tables: rules are written down, in the order in which they would be asked ----
 */

struct rules {
    char *path;
    int lock;
    struct strv lines; /* "TABLE CHAIN RULE…" */
};

static int rules_open(const char *family, struct rules *out, struct err *err)
{
    autofree char *dir = xasprintf("%s/run", inside_root());
    autobuf struct buf text = BUF_INIT(BUF_MEDIUM);
    *out = (struct rules){.path = xasprintf("%s/%s.rules", dir, family)};
    autofree char *lock = xasprintf("%s.lock", out->path);
    out->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (out->lock < 0 || flock(out->lock, LOCK_EX) < 0)
        return err_set_errno(err, ERR_FAILED, errno, "'%s' cannot be locked", lock);
    if (fs_exists(out->path) && fs_read(out->path, &text, err) < 0)
        return -1;
    strv_split(&out->lines, text.data, '\n');
    return 0;
}

static void rules_clear(struct rules *rules)
{
    free(rules->path);
    close_fdp(&rules->lock);
    strv_clear(&rules->lines);
}

static int rules_save(const struct rules *rules, struct err *err)
{
    autofree char *text = strv_join(&rules->lines, "\n");
    return fs_write(rules->path, text, strlen(text), 0600, err);
}

struct rule {
    char action; /* A I D C F L, or 0 */
    const char *table;
    const char *chain;
    struct strv words;
};

static char action_of(const char *word)
{
    static const struct {
        const char *name;
        char action;
    } long_names[] = {{"--append", 'A'}, {"--insert", 'I'}, {"--delete", 'D'},
                      {"--check", 'C'},  {"--flush", 'F'},  {"--list", 'L'}};
    if (word[0] == '-' && word[1] != '\0' && word[2] == '\0' && strchr("AIDCFLS", word[1]) != NULL)
        return word[1] == 'S' ? 'L' : word[1];
    for (size_t i = 0; i < ARRAY_LEN(long_names); i++) {
        if (strcmp(long_names[i].name, word) == 0)
            return long_names[i].action;
    }
    return 0;
}

static void rule_parse(int argc, char **argv, struct rule *out)
{
    out->table = "filter";
    for (int i = 1; i < argc; i++) {
        char action = action_of(argv[i]);
        bool more = i + 1 < argc && argv[i + 1][0] != '-';
        if ((strcmp(argv[i], "-t") == 0 || strcmp(argv[i], "--table") == 0) && more) {
            out->table = argv[++i];
        } else if (action != 0 && out->action == 0) {
            out->action = action;
            out->chain = more ? argv[++i] : NULL;
            /* The number of a rule to insert before: here it is always the first. */
            if (action == 'I' && i + 1 < argc && strspn(argv[i + 1], "0123456789") > 0)
                i++;
        } else if (out->action != 0) {
            strv_add(&out->words, argv[i]);
        }
    }
}

static bool drop_line(struct strv *lines, const char *line, bool all_below)
{
    struct strv kept = STRV_INIT;
    bool found = false;
    for (size_t i = 0; i < lines->len; i++) {
        bool hit = all_below ? text_starts(lines->items[i], line)
                             : !found && strcmp(lines->items[i], line) == 0;
        found |= hit;
        if (!hit)
            strv_add(&kept, lines->items[i]);
    }
    strv_clear(lines);
    *lines = kept;
    return found;
}

static void insert_line(struct strv *lines, const char *line)
{
    struct strv all = STRV_INIT;
    strv_add(&all, line);
    for (size_t i = 0; i < lines->len; i++)
        strv_add(&all, lines->items[i]);
    strv_clear(lines);
    *lines = all;
}

/* 0, or 1 when there is no such rule. */
static int rule_apply(const struct rule *rule, struct rules *rules)
{
    autofree char *words = strv_join(&rule->words, " ");
    autofree char *line =
        xasprintf("%s %s %s", rule->table, rule->chain != NULL ? rule->chain : "", words);
    autofree char *below = rule->chain != NULL ? xasprintf("%s %s ", rule->table, rule->chain)
                                               : xasprintf("%s ", rule->table);
    switch (rule->action) {
    case 'A':
        strv_add(&rules->lines, line);
        return 0;
    case 'I':
        insert_line(&rules->lines, line);
        return 0;
    case 'C':
        return strv_has(&rules->lines, line) ? 0 : 1;
    case 'D':
        return drop_line(&rules->lines, line, false) ? 0 : 1;
    case 'F':
        drop_line(&rules->lines, below, true);
        return 0;
    case 'L':
        for (size_t i = 0; i < rules->lines.len; i++) {
            if (text_starts(rules->lines.items[i], below))
                printf("-A %s\n", rules->lines.items[i] + strlen(rule->table) + 1);
        }
        return 0;
    default: /* policies and chains: taken as they are */
        return 0;
    }
}

int iptables_command(int argc, char **argv)
{
    autoerr struct err err = ERR_INIT;
    const char *slash = strrchr(argv[0], '/');
    const char *family = slash != NULL ? slash + 1 : argv[0];
    struct rule rule = {.action = 0};
    CLEANUP(rules_clear) struct rules rules = {.lock = -1};
    rule_parse(argc, argv, &rule);
    int status = 4;
    if (rules_open(family, &rules, &err) == 0) {
        status = rule_apply(&rule, &rules);
        if (status == 0 && rules_save(&rules, &err) < 0)
            status = 4;
    }
    if (status == 1)
        fprintf(stderr, "%s: Bad rule (does a matching rule exist in that chain?).\n", family);
    if (status == 4)
        fprintf(stderr, "%s: %s\n", family, err_text(&err));
    strv_clear(&rule.words);
    return status;
}

/* ---- power ---- */

static int power(const char *action)
{
    autoerr struct err err = ERR_INIT;
    autobuf struct buf out = BUF_INIT(BUF_SMALL);
    autofree char *path = xasprintf("/emulator/placemat/power?action=%s", action);
    int status = 0;
    if (inside_call("POST", path, "", &status, &out, &err) == 0 && status == 200)
        return 0;
    fprintf(stderr, "%s: %s\n", action, err.code != ERR_NONE ? err_text(&err) : out.data);
    return 1;
}

/* reboot, poweroff, shutdown [-r|-h|-P] [now]: at once, whenever they were asked for. */
int power_command(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    bool reboot = strcmp(slash != NULL ? slash + 1 : argv[0], "reboot") == 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-c") == 0)
            return 0;
        if (strcmp(argv[i], "-r") == 0 || strcmp(argv[i], "--reboot") == 0)
            reboot = true;
    }
    return power(reboot ? "reboot" : "poweroff");
}

/* ---- sudo: we are root ---- */

int sudo_command(int argc, char **argv)
{
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (strcmp(argv[i], "-u") == 0 || strcmp(argv[i], "-g") == 0)
            i++;
    }
    for (; i < argc && strchr(argv[i], '=') != NULL; i++)
        putenv(argv[i]);
    if (i >= argc)
        return 1;
    execvp(argv[i], argv + i);
    fprintf(stderr, "sudo: %s: %s\n", argv[i], strerror(errno));
    return 127;
}

/* ---- systemctl: services as far as a unit file's ExecStart goes ---- */

static char *pid_file(const char *unit)
{
    return xasprintf("%s/run/systemd-%s.pid", inside_root(), unit);
}

static pid_t unit_pid(const char *unit)
{
    autofree char *path = pid_file(unit);
    autobuf struct buf text = BUF_INIT(BUF_SMALL);
    autoerr struct err ignored = ERR_INIT;
    if (fs_read(path, &text, &ignored) < 0)
        return 0;
    pid_t pid = (pid_t)strtol(text.data, NULL, 10);
    return pid > 0 && kill(pid, 0) == 0 ? pid : 0;
}

static int unit_stop(const char *unit)
{
    autofree char *path = pid_file(unit);
    pid_t pid = unit_pid(unit);
    if (pid > 0)
        kill(-pid, SIGTERM);
    (void)unlink(path);
    return 0;
}

/* Values of NAME=… in the unit file, in their order. */
static int unit_values(const char *unit, const char *name, struct strv *out, struct err *err)
{
    autofree char *path = xasprintf("%s/etc/systemd/system/%s", inside_root(), unit);
    autobuf struct buf text = BUF_INIT(BUF_SMALL);
    autostrv struct strv lines = STRV_INIT;
    autofree char *prefix = xasprintf("%s=", name);
    if (fs_read(path, &text, err) < 0)
        return -1;
    strv_split(&lines, text.data, '\n');
    for (size_t i = 0; i < lines.len; i++) {
        if (text_starts(lines.items[i], prefix))
            strv_add(out, lines.items[i] + strlen(prefix));
    }
    return 0;
}

static void unit_exec(const char *unit, const struct strv *commands, const struct strv *variables,
                      bool restarts)
{
    autofree char *log = xasprintf("%s/var/log/%s.log", inside_root(), unit);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (out >= 0 && (dup2(out, 1) < 0 || dup2(out, 2) < 0))
        _exit(126);
    const char *command = commands->items[0] + strspn(commands->items[0], "-@+!");
    autofree char *line = restarts ? xasprintf("while :; do %s; sleep 0.2; done", command)
                                   : xasprintf("exec %s", command);
    for (size_t i = 0; i < variables->len; i++) {
        char *text = variables->items[i];
        size_t len = strlen(text);
        if (text[0] == '"' && len > 1 && text[len - 1] == '"') {
            text[len - 1] = '\0';
            text++;
        }
        putenv(text);
    }
    setsid();
    execl("/bin/sh", "sh", "-c", line, (char *)NULL);
    _exit(127);
}

static int unit_start(const char *unit)
{
    autoerr struct err err = ERR_INIT;
    autostrv struct strv commands = STRV_INIT;
    autostrv struct strv variables = STRV_INIT;
    autostrv struct strv restart = STRV_INIT;
    if (unit_pid(unit) > 0)
        return 0;
    if (unit_values(unit, "ExecStart", &commands, &err) < 0 || commands.len == 0 ||
        unit_values(unit, "Environment", &variables, &err) < 0 ||
        unit_values(unit, "Restart", &restart, &err) < 0) {
        fprintf(stderr, "Failed to start %s: Unit %s not found.\n", unit, unit);
        return 5;
    }
    pid_t pid = fork();
    if (pid == 0)
        unit_exec(unit, &commands, &variables, strv_has(&restart, "always"));
    autofree char *path = pid_file(unit);
    autofree char *text = xasprintf("%d\n", (int)pid);
    return pid > 0 && fs_write(path, text, strlen(text), 0644, &err) == 0 ? 0 : 1;
}

static int unit_action(const char *action, const char *unit)
{
    if (strcmp(action, "start") == 0)
        return unit_start(unit);
    if (strcmp(action, "stop") == 0)
        return unit_stop(unit);
    if (strcmp(action, "restart") == 0)
        return unit_stop(unit) + unit_start(unit);
    if (strcmp(action, "is-active") == 0) {
        puts(unit_pid(unit) > 0 ? "active" : "inactive");
        return unit_pid(unit) > 0 ? 0 : 3;
    }
    /* enable, disable, mask, daemon-reload…: nothing to do here */
    return 0;
}

int systemctl_command(int argc, char **argv)
{
    const char *action = NULL;
    bool now = false;
    int status = 0;
    for (int i = 1; i < argc; i++)
        now |= strcmp(argv[i], "--now") == 0;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-')
            continue;
        if (action == NULL) {
            action = argv[i];
            continue;
        }
        autofree char *unit =
            strchr(argv[i], '.') != NULL ? xstrdup(argv[i]) : xasprintf("%s.service", argv[i]);
        int result = unit_action(now && strcmp(action, "enable") == 0 ? "start" : action, unit);
        status = result != 0 ? result : status;
    }
    if (action != NULL && (strcmp(action, "reboot") == 0 || strcmp(action, "poweroff") == 0))
        return power(action);
    return status;
}
