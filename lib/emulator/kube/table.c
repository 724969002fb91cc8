/* Tables: what `kubectl get` prints, made by the server (printers/internalversion). */
#include <stdlib.h>
#include <string.h>
#include "necoops/base/run.h"
#include "necoops/base/timefmt.h"
#include "emulator/kube/api.h"
#include "emulator/kube/cells.h"
#include "emulator/kube/jsonpath.h"

/* ---- columns of built-in kinds ---- */

static const struct column *columns_of(const struct type *type)
{
    for (size_t i = 0; i < table_kinds_len; i++) {
        if (strcmp(table_kinds[i].kind, type->resource.kind) == 0)
            return table_kinds[i].columns;
    }
    return table_default_columns;
}

static void add_definition(cJSON *list, const char *name, const char *type, const char *format,
                           const char *description, int64_t priority)
{
    cJSON *definition = json_object();

    json_set_str(definition, "name", name);
    json_set_str(definition, "type", type);
    json_set_str(definition, "format", format);
    json_set_str(definition, "description", description);
    json_set_i64(definition, "priority", priority);
    json_push(list, definition);
}

static void add_builtin_definitions(cJSON *list, const struct type *type)
{
    for (const struct column *column = columns_of(type); column->name != NULL; column++)
        add_definition(list, column->name, column->type,
                       strcmp(column->name, "Name") == 0 ? "name" : "", "", column->wide);
}

/* ---- columns of custom resources ---- */

static void add_custom_definitions(cJSON *list, const struct type *type)
{
    const cJSON *column;

    add_definition(list, "Name", "string", "name", "", 0);
    cJSON_ArrayForEach(column, type->columns)
    {
        int64_t priority = 0;

        json_i64(column, "priority", &priority);
        add_definition(list, json_str_or(column, "name", ""), json_str_or(column, "type", "string"),
                       json_str_or(column, "format", ""), json_str_or(column, "description", ""),
                       priority);
    }
    if (type->columns == NULL)
        add_definition(list, "Age", "date", "", "", 0);
}

static cJSON *custom_cell(const cJSON *column, const cJSON *object)
{
    const cJSON *value = jsonpath_first(object, json_str_or(column, "jsonPath", ""));
    const char *type = json_str_or(column, "type", "");

    if (value == NULL || cJSON_IsNull(value))
        return cJSON_CreateNull();
    if (strcmp(type, "date") == 0 && cJSON_IsString(value))
        return cell_age_of(value->valuestring);
    if (strcmp(type, "string") == 0 && !cJSON_IsString(value)) {
        autofree char *text = json_print(value);

        return cJSON_CreateString(text);
    }
    return json_copy(value);
}

static void add_custom_cells(cJSON *cells, const struct type *type, const cJSON *object)
{
    const cJSON *column;

    json_push_str(cells, json_str_or(object, "metadata.name", ""));
    cJSON_ArrayForEach(column, type->columns)
    {
        json_push(cells, custom_cell(column, object));
    }
    if (type->columns == NULL)
        json_push(cells, cell_age_of(json_str(object, "metadata.creationTimestamp")));
}

/* ---- the whole ---- */

cJSON *table_new(const struct type *type, bool first)
{
    cJSON *table = json_object();
    cJSON *definitions;

    json_set_str(table, "kind", "Table");
    json_set_str(table, "apiVersion", "meta.k8s.io/v1");
    json_set_object(table, "metadata");
    definitions = json_set_array(table, "columnDefinitions");
    json_set_array(table, "rows");
    if (!first)
        return table;
    if ((type->flags & TYPE_CUSTOM) != 0)
        add_custom_definitions(definitions, type);
    else
        add_builtin_definitions(definitions, type);
    return table;
}

void table_add(cJSON *table, const struct type *type, const cJSON *object, const char *include)
{
    cJSON *row = json_object();
    cJSON *cells = json_set_array(row, "cells");

    if ((type->flags & TYPE_CUSTOM) != 0) {
        add_custom_cells(cells, type, object);
    } else {
        for (const struct column *column = columns_of(type); column->name != NULL; column++)
            json_push(cells, column->cell != NULL ? column->cell(object)
                                                  : cell_path(object, column->path));
    }
    if (include == NULL || strcmp(include, "None") != 0)
        json_set(row, "object",
                 include != NULL && strcmp(include, "Object") == 0 ? json_copy(object)
                                                                   : metadata_only(object));
    json_push(json_get(table, "rows"), row);
}
