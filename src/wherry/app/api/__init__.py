"""The Python API: `import wherry`. One function for each use case; the session is optional.

A function prints nothing, reads no environment variables and keeps no state except on disk. Functions may be called
from several threads, with one session or with many.

- `session`: where the store, the cache and the credentials are; None: `Session.of_user()`.
- `progress`: called with an `Event` for each thing that happens, from any thread.
- `cancel`: has `is_set()`, as `threading.Event` does. Once it is set, programs are ended, reading stops, the function
  raises `Cancelled`, and nothing is left half done. The analysis of one program is finished first.

Every error is a `WherryError`, with `message`, `hint` and the command line's `exit_code`.
"""
