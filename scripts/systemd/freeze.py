#!/usr/bin/python3
"""Holds one thread of a process as a debugger would, until the process is gone: freeze.py PID NAME. The others go on: a stage that hangs."""
import ctypes
import os
import sys

PTRACE_ATTACH = 16
ALL_KINDS = 0x40000000  # __WALL: threads, too


def thread_of(process, name):
    for thread in os.listdir(f"/proc/{process}/task"):
        with open(f"/proc/{process}/task/{thread}/comm") as file:
            if file.read().strip() == name:
                return int(thread)
    sys.exit(f"process {process} has no thread {name}")


libc = ctypes.CDLL(None, use_errno=True)
thread = thread_of(sys.argv[1], sys.argv[2])
if libc.ptrace(PTRACE_ATTACH, thread, None, None) != 0:
    sys.exit(f"thread {thread}: {os.strerror(ctypes.get_errno())}")
os.waitpid(thread, ALL_KINDS)
print("held", flush=True)
# Whatever comes for it is kept from it; only a KILL goes through.
try:
    while not os.WIFSIGNALED(os.waitpid(thread, ALL_KINDS)[1]):
        pass
except ChildProcessError:
    pass
