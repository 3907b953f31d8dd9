"""The lock of a run directory: one process trains at a time, also after another was killed."""

import errno
import fcntl
import os
from pathlib import Path

from ml_lstm.errors import UserError

# The errors of storage without locks: some network and cluster file systems.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class TrainingLock:
    """A lock on a file in a directory. The kernel releases it when the process ends, in whatever way.

    The file stays, as another process may have opened it already.

    Args:
        path: of the file; its directory is created if needed.

    Raises:
        UserError: if another process holds the lock.
        OSError: if the file cannot be created.
    """

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not blocking, so that a pipe of that name does not wait for a reader. Writable, as network storage needs it.
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise UserError(
                f"{path.parent} is being trained by another process: wait for it, stop it, or give another --run_dir."
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                self.release()
                raise
            print(f"{path.parent} is on storage without locks: make sure that no other process trains there.")

    def release(self) -> None:
        """Lets another process train."""
        os.close(self._file)
