/* What a remote has: by what was fetched from it, else by asking with git itself, which knows the
 * user's credentials, proxies and ssh settings. */
#include "internal.h"

#include "necoops/base/proc.h"
#include "necoops/base/text.h"

static void config_freep(git_config **config)
{
    git_config_free(*config);
}

static void config_iterator_freep(git_config_iterator **iterator)
{
    git_config_iterator_free(*iterator);
}

/* Calls `each` with every entry until it returns true. By hand, because libgit2 1.5 loses memory
 * with every regular expression it matches. */
static bool any_entry(git_config *config, bool (*each)(void *arg, const git_config_entry *entry),
                      void *arg)
{
    CLEANUP(config_iterator_freep) git_config_iterator *iterator = NULL;
    git_config_entry *entry;

    if (git_config_iterator_new(&iterator, config) != 0) {
        return false;
    }
    while (git_config_next(&entry, iterator) == 0) {
        if (each(arg, entry)) {
            return true;
        }
    }
    return false;
}

struct rewrite {
    const char *url;
    char *rewritten;
};

/* url.BASE.insteadOf = PREFIX */
static bool rewrites(void *arg, const git_config_entry *entry)
{
    struct rewrite *rewrite = arg;
    size_t name = strlen(entry->name), tail = strlen(".insteadof");

    if (!text_starts(entry->name, "url.") || !text_ends(entry->name, ".insteadof") ||
        !entry->value[0] || !text_starts(rewrite->url, entry->value)) {
        return false;
    }
    rewrite->rewritten = xasprintf("%.*s%s", (int)(name - tail - 4), entry->name + 4,
                                   rewrite->url + strlen(entry->value));
    return true;
}

struct search {
    git_config *config;
    const char *url;
    char *found;
};

/* remote.NAME.url, as it stands there or as insteadOf makes it */
static bool is_remote_with_url(void *arg, const git_config_entry *entry)
{
    struct search *search = arg;
    struct rewrite rewrite = {.url = entry->value};
    size_t name = strlen(entry->name);
    bool same;

    if (!text_starts(entry->name, "remote.") || !text_ends(entry->name, ".url") || name < 12) {
        return false;
    }
    same =
        git_url_same(entry->value, search->url) || (any_entry(search->config, rewrites, &rewrite) &&
                                                    git_url_same(rewrite.rewritten, search->url));
    free(rewrite.rewritten);
    if (same) {
        search->found = xstrndup(entry->name + 7, name - 11);
    }
    return same;
}

char *git_remote_for(struct git *git, const char *url)
{
    CLEANUP(config_freep) git_config *config = NULL;
    struct search search = {.url = url};

    if (git_repository_config_snapshot(&config, git->repo) != 0) {
        return NULL;
    }
    search.config = config;
    (void)any_entry(config, is_remote_with_url, &search);
    return search.found;
}

static bool reaches(struct git *git, const git_oid *from, const git_oid *commit)
{
    return git_oid_equal(from, commit) || git_graph_descendant_of(git->repo, from, commit) == 1;
}

static void iterator_freep(git_reference_iterator **iterator)
{
    git_reference_iterator_free(*iterator);
}

/* A remote-tracking reference of this remote (NULL: of any) leads to the commit. */
static bool fetched(struct git *git, const char *remote, const git_oid *commit)
{
    CLEANUP(iterator_freep) git_reference_iterator *iterator = NULL;
    autofree char *pattern =
        remote ? xasprintf("refs/remotes/%s/*", remote) : xstrdup("refs/remotes/*");
    git_reference *reference;
    bool found = false;

    if (git_reference_iterator_glob_new(&iterator, git->repo, pattern) != 0) {
        return false;
    }
    while (!found && git_reference_next(&reference, iterator) == 0) {
        autoobject git_object *peeled = NULL;

        found = git_reference_peel(&peeled, reference, GIT_OBJECT_COMMIT) == 0 &&
                reaches(git, git_object_id(peeled), commit);
        git_reference_free(reference);
    }
    return found;
}

/* `git ls-remote` of the URL, in the repository when there is one (its settings count). */
static int ls_remote(const struct run *run, const struct git *git, const char *url,
                     const char *pattern, int64_t timeout_ms, struct buf *out, struct err *err)
{
    /* an end of options, so that no URL is read as one; never a question */
    autostrv struct strv variables = STRV_INIT;
    const char *const argv[] = {"git", "ls-remote", "--quiet", "--", url, pattern, NULL};

    strv_add(&variables, "GIT_TERMINAL_PROMPT=0");
    strv_add(&variables, "GIT_SSH_COMMAND=ssh -oBatchMode=yes");
    for (const char *const *e = run->environ; e && *e; e++) {
        strv_add(&variables, *e);
    }
    struct proc_spec spec = {
        .argv = argv,
        .environ = (const char *const *)variables.items,
        .dir = git ? (git->workdir ? git->workdir : git_repository_path(git->repo)) : NULL,
        .timeout_ms = timeout_ms,
    };
    struct proc_result result = {.out = BUF_INIT(BUF_MEDIUM * 4), .error = BUF_INIT(BUF_SMALL)};
    int rc = proc_check(run, &spec, &result, err);

    if (rc == 0) {
        rc = result.out.overflowed
                 ? err_set(err, ERR_PROTOCOL, "'%s' has too many references to look at", url)
                 : buf_add(out, result.out.data, result.out.len);
    }
    buf_clear(&result.out);
    buf_clear(&result.error);
    return rc;
}

/* One of the listed references is the commit, or is known here and leads to it. */
static bool listed(struct git *git, const char *list, const git_oid *commit)
{
    while (*list) {
        git_oid id;
        const char *end = strchrnul(list, '\n');

        if (end - list > 40 && git_oid_fromstrn(&id, list, 40) == 0 && reaches(git, &id, commit)) {
            return true;
        }
        list = *end ? end + 1 : end;
    }
    return false;
}

int git_remote_has(const struct run *run, struct git *git, const char *url, const char *commit,
                   int64_t timeout_ms, enum git_presence *presence, char **why, struct err *err)
{
    autofree char *remote = git_remote_for(git, url);
    autobuf struct buf list = BUF_INIT(BUF_MEDIUM * 4);
    autoerr struct err failed = ERR_INIT;
    git_oid id;

    if (!git_is_id(commit) || git_oid_fromstr(&id, commit) != 0) {
        return err_set(err, ERR_USAGE, "'%s' is no commit id of 40 hex digits", commit);
    }
    *why = NULL;
    if (!remote && fetched(git, NULL, &id)) {
        *presence = GIT_PRESENT;
        return 0;
    }
    if (!remote) {
        *presence = GIT_UNKNOWN;
        *why = xasprintf("no remote of this repository is '%s'", url);
        return 0;
    }
    if (fetched(git, remote, &id)) {
        *presence = GIT_PRESENT;
        return 0;
    }
    if (ls_remote(run, git, remote, "*", timeout_ms, &list, &failed) != 0) {
        if (run_check(run, "the remote repository", err) != 0) {
            return -1;
        }
        *presence = GIT_UNKNOWN;
        *why = xasprintf("remote '%s' could not be asked: %s", remote, err_text(&failed));
        return 0;
    }
    *presence = listed(git, list.data, &id) ? GIT_PRESENT : GIT_ABSENT;
    return 0;
}

int git_remote_branch(const struct run *run, struct git *git, const char *url, const char *branch,
                      int64_t timeout_ms, struct git_id *commit, struct err *err)
{
    autofree char *remote = git ? git_remote_for(git, url) : NULL;
    autofree char *pattern = xasprintf("refs/heads/%s", branch);
    autobuf struct buf list = BUF_INIT(BUF_MEDIUM * 4);
    git_oid id;

    if (ls_remote(run, git, remote ? remote : url, pattern, timeout_ms, &list, err) != 0) {
        if (err->code != ERR_INTERRUPTED && err->code != ERR_TERMINATED) {
            err->code = ERR_UNREACHABLE;
        }
        return err_prefix(err, "cannot ask '%s' for the head of '%s'", url, branch);
    }
    if (list.len < 40 || git_oid_fromstrn(&id, list.data, 40) != 0) {
        return err_set(err, ERR_NOT_FOUND, "'%s' has no branch '%s'", url, branch);
    }
    git_oid_tostr(commit->hex, sizeof(commit->hex), &id);
    return 0;
}
