/* Reads the records of a text: where each begins, its level and its time (docs/records.md).

   What a record looks like is in formats.py and timestamps.py, as patterns, of which source.py makes formats.h: a
   function for each list of patterns.

   A line is looked at for its first LINE_PREFIX bytes, and nothing is written but what the caller gives. No memory is
   allocated, and no state outlives a call. */

#include <stddef.h>
#include <stdint.h>

/* As of string.h, which is not there when the scanner is built for another platform. */
void *memchr(const void *, int, size_t);
void *memcpy(void *restrict, const void *restrict, size_t);
void *memset(void *, int, size_t);

enum { LINE_PREFIX = 1024, FIELDS = 14, DEPTH = 3 };
enum { NO_LEVEL, DEBUG, INFO, WARN, ERROR };
enum { NO_TIME, LOCAL, UTC }; /* of a record: the zone of its time */
enum { INNER = 1, JSON, LOGFMT }; /* how the rest of a line is read */
enum { LEVEL_KEY = 1, TIME_KEY, NUMBER_KEY, LINE_KEY };
/* As timestamps.FIELDS. */
enum { YEAR, YEAR2, MONTH, NAME, DAY, HOUR, MINUTE, SECOND, FRACTION, HALF, ZONE, EITHER, OTHER, EPOCH };

typedef const uint8_t *Place;
typedef struct { uint8_t size, value; char text[22]; } Word;
typedef struct { int64_t ms; uint8_t zone; } Time;
typedef struct { uint8_t level, zone, stream, part; } Marks; /* what an alternative that fails takes back */
typedef struct { Marks marks; uint8_t continues, then; int64_t ms; Place rest; } Found;
typedef struct {
    int64_t latest; /* local milliseconds: no time without a year is later; INT64_MIN: such times are unknown */
    Place line;
    Found found;
    Place begin[FIELDS];
    uint8_t size[FIELDS];
} Reader;
typedef Place List(Reader *, Place, Place, int);

typedef struct { uint8_t level, partial; } State;
typedef struct { int64_t place, ms; uint8_t level, zone; } Record;
typedef struct {
    int64_t lines, levels[5];
    Time first, last;
    Time least[3], greatest[3]; /* by zone */
} Sums;

static Place read_level(Found *, Place, Place, int);
static Place read_priority(Found *, Place, Place);
static Place read_time(Reader *, List *, Place, Place, int);
#include "formats.h"

static int is_digit(uint8_t c) { return c >= '0' && c <= '9'; }
static int is_letter(uint8_t c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }

static int is_same(const char *lower, Place text, int size) {
    for (int i = 0; i < size; i++) {
        uint8_t c = text[i];
        if (c != (uint8_t)lower[i] && !(c >= 'A' && c <= 'Z' && (c | 32) == (uint8_t)lower[i])) return 0;
    }
    return 1;
}

/* The level that a whole word names; `*size` is the word's. */
static int level_word(Place p, Place end, int capitals, int *size) {
    int n = 0;
    while (p + n < end && n < 16 && (is_letter(p[n]) || is_digit(p[n]))) {
        if (capitals && p[n] >= 'a') return NO_LEVEL;
        n++;
    }
    *size = n;
    if (n < 3 || n > 13 || !is_letter(*p) || (p + n < end && p[n] == '_')) return NO_LEVEL;
    for (const Word *word = level_words + level_initials[(*p | 32) - 'a']; word->text[0] == (*p | 32); word++)
        if (word->size == n && is_same(word->text, p, n)) return word->value;
    return NO_LEVEL;
}

/* Times */

static int number(const Reader *reader, int field) {
    int value = 0;
    for (int i = 0; i < reader->size[field] && i < 9; i++) value = value * 10 + (reader->begin[field][i] - '0');
    return value;
}

static int is_leap(int64_t year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

static int days_in(int64_t year, int month) {
    return month == 2 ? 28 + is_leap(year) : 30 + ((month + month / 8) & 1);
}

/* Days since 1970-01-01 in the Gregorian calendar, as if it had always been in force. */
static int64_t days_since_epoch(int64_t year, int month, int day) {
    int64_t before = year - 1;
    int64_t days = before * 365 + before / 4 - before / 100 + before / 400 - 719162;
    for (int each = 1; each < month; each++) days += days_in(year, each);
    return days + day - 1;
}

/* Minutes east of UTC of `Z`, `+08`, `+0800`, `+08:00`, each also after UTC or GMT. */
static int zone_minutes(Place p, int size) {
    int digits[4] = {0}, count = 0, sign = 1;
    for (int i = 0; i < size; i++) {
        if (p[i] == '-') sign = -1;
        if (is_digit(p[i]) && count < 4) digits[count++] = p[i] - '0';
    }
    if (count == 1) return sign * digits[0] * 60;
    return sign * ((digits[0] * 10 + digits[1]) * 60 + digits[2] * 10 + digits[3]);
}

/* The time of the fields, if the calendar has it. */
static Time time_of(const Reader *reader) {
    Time none = {0, NO_TIME}, time = {0, LOCAL};
    const uint8_t *size = reader->size;
    int millis = 0;
    for (int i = 0; i < 3; i++)
        millis = millis * 10 + (i < size[FRACTION] ? reader->begin[FRACTION][i] - '0' : 0);
    if (size[EPOCH]) {
        Place p = reader->begin[EPOCH];
        if (*p < '1' || *p > '3') return none; /* of 2001 to 2096 */
        for (int i = 0; i < 10; i++) time.ms = time.ms * 10 + (p[i] - '0');
        int more = 0;
        for (int i = 10; i < 13; i++) more = more * 10 + (i < size[EPOCH] ? p[i] - '0' : 0);
        time.ms = time.ms * 1000 + (size[EPOCH] > 10 ? more : millis);
        time.zone = UTC;
        return time;
    }
    int month = number(reader, MONTH), day = number(reader, DAY);
    if (size[NAME]) {
        static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
        for (month = 1; month <= 12 && !is_same(names + 3 * (month - 1), reader->begin[NAME], 3);) month++;
    } else if (size[EITHER]) { /* 12/31 or 31/12 */
        int either = number(reader, EITHER), other = number(reader, OTHER);
        month = either > 12 ? other : either;
        day = either > 12 ? either : other;
    }
    int hour = number(reader, HOUR), minute = number(reader, MINUTE), second = number(reader, SECOND);
    if (size[HALF]) {
        if (hour < 1 || hour > 12) return none;
        hour = hour % 12 + ((*reader->begin[HALF] | 32) == 'p' ? 12 : 0);
    }
    if (second == 60) second = 59, millis = 999; /* a leap second */
    if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59) return none;
    int64_t of_day = ((hour * 60 + minute) * 60 + second) * (int64_t)1000 + millis, day_ms = 86400000;
    if (size[YEAR] || size[YEAR2]) {
        int year = number(reader, size[YEAR] ? YEAR : YEAR2);
        if (!size[YEAR]) year += year < 69 ? 2000 : 1900; /* POSIX strptime */
        if (year < 1 || day > days_in(year, month)) return none;
        time.ms = days_since_epoch(year, month, day) * day_ms + of_day;
    } else {
        if (reader->latest == INT64_MIN) return none;
        int64_t year = reader->latest / day_ms / 365 + 1971; /* this year or, rarely, one of the next */
        for (int back = 0;; back++, year--) {
            if (back > 12) return none; /* 29 February comes every eight years at least */
            time.ms = days_since_epoch(year, month, day) * day_ms + of_day;
            if (day <= days_in(year, month) && time.ms <= reader->latest) break;
        }
    }
    if (size[ZONE]) {
        time.ms -= zone_minutes(reader->begin[ZONE], size[ZONE]) * (int64_t)60000;
        time.zone = UTC;
    }
    return time;
}

/* Atoms of patterns: each answers where it ends, or NULL. */

static Place read_level(Found *found, Place p, Place end, int capitals) {
    int size, level = p < end ? level_word(p, end, capitals, &size) : NO_LEVEL;
    if (level == NO_LEVEL) return NULL;
    found->marks.level = level;
    return p + size;
}

/* RFC 5424, section 6.2.1: 8 times the facility, and the severity. */
static Place read_priority(Found *found, Place p, Place end) {
    int value = 0, size = 0;
    for (; p < end && size < 3 && is_digit(*p); size++) value = value * 10 + (*p++ - '0');
    if (!size || value > 191) return NULL;
    int severity = value & 7;
    found->marks.level = severity < 4 ? ERROR : severity == 4 ? WARN : severity < 7 ? INFO : DEBUG;
    return p;
}

static Place read_time(Reader *reader, List *list, Place p, Place end, int depth) {
    Place after = list(reader, p, end, depth);
    if (after) {
        Time time = time_of(reader);
        reader->found.ms = time.ms;
        reader->found.marks.zone = time.zone;
    }
    return after;
}

/* JSON and logfmt */

static void classify(Reader *reader, Place p, Place end, int depth);

static Place skip_blanks(Place p, Place end) {
    while (p < end && (*p == ' ' || *p == '\t')) p++;
    return p;
}

/* The end of a string's text, which begins after a quote: at the next one. NULL if there is none. */
static Place string_end(Place p, Place end) {
    for (; p < end; p++) {
        if (*p == '"') return p;
        if (*p == '\\') p++;
    }
    return NULL;
}

/* The end of an object or array that begins at `p`, or NULL. */
static Place nested_end(Place p, Place end) {
    int depth = 0;
    for (; p < end; p++) {
        if (*p == '"') {
            if (!(p = string_end(p + 1, end))) return NULL;
        } else if (*p == '{' || *p == '[') {
            depth++;
        } else if ((*p == '}' || *p == ']') && !--depth) {
            return p + 1;
        }
    }
    return NULL;
}

static int key_kind(Place p, Place end) {
    for (const Word *key = keys; key->size; key++)
        if (key->size == end - p && is_same(key->text, p, key->size)) return key->value;
    return 0;
}

/* A level as a number: OpenTelemetry's 1 to 24, bunyan's and pino's from 10 on, syslog's 0 to 7. */
static int level_number(int kind, Place p, Place end) {
    int value = 0, size = 0;
    while (p < end && is_digit(*p) && size < 3) value = value * 10 + (*p++ - '0'), size++;
    if (!size || (p < end && *p != '.')) return NO_LEVEL;
    if (kind == NUMBER_KEY)
        return value < 1 || value > 24 ? NO_LEVEL : value < 9 ? DEBUG : value < 13 ? INFO : value < 17 ? WARN : ERROR;
    if (value < 8) return value < 4 ? ERROR : value < 5 ? WARN : value < 7 ? INFO : DEBUG;
    return value < 10 || value > 69 ? NO_LEVEL : value < 30 ? DEBUG : value < 40 ? INFO : value < 50 ? WARN : ERROR;
}

/* Takes level or time from a field of JSON or logfmt, the first of each. */
static void take_field(Reader *reader, Found *found, int kind, Place p, Place end, int depth, int is_json) {
    if (kind == TIME_KEY && found->marks.zone == NO_TIME) {
        Found before = reader->found;
        if (read_time(reader, read_times, p, end, depth) == end) {
            found->ms = reader->found.ms;
            found->marks.zone = reader->found.marks.zone;
        }
        reader->found = before;
    } else if ((kind == LEVEL_KEY || kind == NUMBER_KEY) && found->marks.level == NO_LEVEL) {
        int size, level = p < end ? level_word(p, end, 0, &size) : NO_LEVEL;
        if (level == NO_LEVEL || p + size != end) level = is_json ? level_number(kind, p, end) : NO_LEVEL;
        found->marks.level = level;
    }
}

static int hex_digit(uint8_t c) { return is_digit(c) ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1; }

/* Reads the line that Docker wrote as a JSON string. */
static void classify_escaped(Reader *reader, Place p, Place end, int depth) {
    uint8_t text[LINE_PREFIX];
    int size = 0;
    while (p < end && size < LINE_PREFIX) {
        uint8_t c = *p++;
        if (c == '\\' && p < end) {
            c = *p++;
            if (c == 'n') break;
            if (c == 'r' || c == 't' || c == 'b' || c == 'f') {
                c = c == 'r' ? '\r' : c == 't' ? '\t' : ' ';
            } else if (c == 'u' && end - p >= 4) {
                int value = 0;
                for (int i = 0; i < 4; i++) value = value < 0 || hex_digit(p[i]) < 0 ? -1 : value * 16 + hex_digit(p[i]);
                p += 4;
                c = value >= 0 && value < 128 ? value : 0xFF; /* no format asks for more than ASCII */
            }
        }
        text[size++] = c;
    }
    Place line = reader->line;
    reader->line = text;
    classify(reader, text, text + size, depth + 1);
    reader->line = line;
}

/* Level and time of an object, at depth one. */
static void classify_json(Reader *reader, Place p, Place end, int depth) {
    Found found = {0}, inner = {0};
    int is_first = 1;
    p = skip_blanks(p, end) + 1;
    while ((p = skip_blanks(p, end)) < end && *p == '"') {
        Place key = p + 1, key_end = string_end(key, end);
        if (!key_end || (p = skip_blanks(key_end + 1, end)) == end || *p != ':') break;
        if ((p = skip_blanks(p + 1, end)) == end) break;
        int kind = key_kind(key, key_end);
        if (*p == '"') {
            Place text = p + 1, text_end = string_end(text, end);
            if (kind == LINE_KEY && is_first && depth < DEPTH) {
                classify_escaped(reader, text, text_end ? text_end : end, depth);
                inner = reader->found;
            }
            if (!text_end) break;
            take_field(reader, &found, kind, text, text_end, depth, 1);
            p = text_end + 1;
        } else if (*p == '{' || *p == '[') {
            if (!(p = nested_end(p, end))) break;
        } else {
            Place value = p;
            while (p < end && *p != ',' && *p != '}' && *p != ' ') p++;
            take_field(reader, &found, kind, value, p, depth, 1);
        }
        is_first = 0;
        p = skip_blanks(p, end);
        if (p == end || *p != ',' || (found.marks.level != NO_LEVEL && found.marks.zone != NO_TIME)) break;
        p++;
    }
    if (found.marks.level == NO_LEVEL) found.marks.level = inner.marks.level;
    found.continues = inner.continues;
    reader->found = found;
}

static void classify_logfmt(Reader *reader, Place p, Place end, int depth) {
    Found found = {0};
    int fields = 0;
    while ((p = skip_blanks(p, end)) < end) {
        Place key = p, key_end, value;
        while (p < end && *p != '=' && *p != ' ' && *p != '"') p++;
        if (p == key || p == end || *p != '=') break;
        key_end = p;
        value = ++p;
        if (p < end && *p == '"') {
            if (!(p = string_end(++value, end))) break;
            take_field(reader, &found, key_kind(key, key_end), value, p++, depth, 0);
        } else {
            while (p < end && *p != ' ' && *p != '\t' && *p != '"') p++;
            take_field(reader, &found, key_kind(key, key_end), value, p, depth, 0);
        }
        fields++;
        if (found.marks.level != NO_LEVEL && found.marks.zone != NO_TIME) break;
    }
    if (fields < 2) found = (Found){0}; /* `level=debug` alone is a setting */
    reader->found = found;
}

/* Lines */

/* What a line is, without its newline; the answer is in `reader->found`. */
static void classify(Reader *reader, Place p, Place end, int depth) {
    Found nothing = {0};
    Place after;
    reader->found = nothing;
    if (p == end || depth > DEPTH) {
        reader->found.continues = p == end;
        return;
    }
    if ((after = read_heads(reader, p, end, depth))) {
        Found dated = reader->found;
        if (!read_dated(reader, after, end, depth)) {
            if (dated.marks.zone != NO_TIME) return; /* dated, without a level */
            reader->found = nothing;
            after = NULL;
        }
    }
    if (!after && !read_plain(reader, p, end, depth)) {
        if (read_continuations(reader, p, end, depth)) reader->found.continues = 1;
        return;
    }
    Found outer = reader->found;
    if (outer.then == JSON) {
        classify_json(reader, outer.rest, end, depth);
    } else if (outer.then == LOGFMT) {
        classify_logfmt(reader, outer.rest, end, depth);
    } else if (outer.then == INNER && !outer.continues) {
        classify(reader, outer.rest, end, depth + 1);
    }
    if (outer.then) {
        if (outer.marks.zone != NO_TIME) {
            reader->found.ms = outer.ms;
            reader->found.marks.zone = outer.marks.zone;
        }
        reader->found.marks.stream = outer.marks.stream;
        reader->found.marks.part = outer.marks.part;
        reader->found.then = 0;
    }
}

/* The end of the escape sequence at `p` (ECMA-48), which begins with ESC. */
static Place escape_end(Place p, Place end) {
    if (++p == end) return p;
    if (*p == '[') {
        for (p++; p < end && *p >= 0x20 && *p < 0x40;) p++;
        return p < end && *p >= 0x40 && *p < 0x7F ? p + 1 : p;
    }
    if (*p == ']') { /* up to BEL or ESC \ */
        for (p++; p < end && *p != 7 && *p != 27;) p++;
        return p == end ? p : *p == 7 ? p + 1 : end - p > 1 && p[1] == '\\' ? p + 2 : p;
    }
    if (*p >= '(' && *p <= '+') return end - p > 1 ? p + 2 : end;
    return p + 1;
}

/* Copies a line without escape sequences. A level that has a colour of its own is as good as one in brackets. */
static int without_escapes(Place p, Place end, uint8_t *out) {
    int size = 0, is_coloured = 0;
    while (p < end && size < LINE_PREFIX) {
        if (*p == 27) {
            p = escape_end(p, end);
            is_coloured = 1;
            continue;
        }
        Place text = is_coloured ? skip_blanks(p, end) : end;
        if (text < end && is_letter(*text) && size < LINE_PREFIX - 20) {
            int word, level = level_word(text, end, 0, &word);
            Place after = skip_blanks(text + word, end);
            if (level != NO_LEVEL && after < end && *after == 27) {
                out[size++] = '[';
                memcpy(out + size, text, word);
                size += word;
                out[size++] = ']';
                p = text + word;
                continue;
            }
        }
        is_coloured = 0;
        out[size++] = *p++;
    }
    return size;
}

/* What a line is, as it is displayed: without what was overwritten after a carriage return. */
static void classify_raw(Reader *reader, Place p, Place end, int has_escapes, int has_returns) {
    uint8_t plain[LINE_PREFIX + 1];
    if (end - p > LINE_PREFIX) end = p + LINE_PREFIX;
    while (end > p && end[-1] == '\r') end--;
    if (has_returns && memchr(p, '\r', end - p))
        for (Place each = end; each > p; each--)
            if (each[-1] == '\r') {
                p = each;
                break;
            }
    if (end - p > 2 && p[0] == 0xEF && p[1] == 0xBB && p[2] == 0xBF) p += 3; /* a byte order mark */
    if (has_escapes && memchr(p, 27, end - p)) {
        int size = without_escapes(p, end, plain);
        p = plain;
        end = plain + size;
    }
    reader->line = p;
    classify(reader, p, end, 0);
}

static void take_time(Sums *sums, Time time) {
    Time *least = &sums->least[time.zone], *greatest = &sums->greatest[time.zone];
    if (sums->first.zone == NO_TIME) sums->first = time;
    sums->last = time;
    if (least->zone == NO_TIME || time.ms < least->ms) *least = time;
    if (greatest->zone == NO_TIME || time.ms > greatest->ms) *greatest = time;
}

/* Reads whole lines: adds to `sums`, and writes at most `most` records: all, or with `only_turns` each with which DEBUG
   begins or ends. Returns how many were written; `*used` are the bytes that were read, fewer than `size` only if there
   was no room for more records. */
int64_t logkeep_scan(Place text, int64_t size, int64_t latest, State *state, Sums *sums, Record *records, int64_t most,
                     int only_turns, int64_t *used) {
    Reader reader = {.latest = latest};
    Place p = text, end = text + size;
    int has_escapes = size && memchr(text, 27, size), has_returns = size && memchr(text, '\r', size);
    int64_t written = 0;
    while (p < end) {
        Place newline = memchr(p, '\n', end - p);
        if (!newline) break;
        if (records && written == most) break;
        classify_raw(&reader, p, newline, has_escapes, has_returns);
        const Found *found = &reader.found;
        int joins = state->partial && found->marks.stream == state->partial;
        state->partial = found->marks.part ? found->marks.stream : 0;
        sums->lines++;
        if (!joins && !found->continues) {
            int is_turn = (state->level == DEBUG) != (found->marks.level == DEBUG);
            state->level = found->marks.level;
            sums->levels[found->marks.level]++;
            if (found->marks.zone != NO_TIME) take_time(sums, (Time){found->ms, found->marks.zone});
            if (records && (is_turn || !only_turns))
                records[written++] = (Record){p - text, found->ms, found->marks.level, found->marks.zone};
        }
        p = newline + 1;
    }
    *used = p - text;
    return written;
}
