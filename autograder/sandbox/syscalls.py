"""The system calls that a submission may make: one list for every architecture.

A row is a call's name, its number on x86-64 and on arm64 ("-" where the kernel has none), and a verdict:

* `allow`: as it is,
* `files`: only where the files that it can change are the submission's own (the full tier's /tmp),
* `refuse`: EPERM, for calls that people know and may ask about,
* a rule's name (`own_process`, `no_fork`, ...): by its arguments, see `seccomp.py`.

Calls that aren't listed, including those of future kernels, answer ENOSYS, as if the kernel were older.
The numbers are those of asm/unistd_64.h and asm-generic/unistd.h.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Machine = Literal["x86_64", "aarch64"]


class Row(NamedTuple):
    """One system call of the list."""

    name: str
    numbers: dict[Machine, int]
    verdict: str


_LIST = """
# reading and writing what is open
read                        0   63  allow
write                       1   64  allow
readv                      19   65  allow
writev                     20   66  allow
pread64                    17   67  allow
pwrite64                   18   68  allow
preadv                    295   69  allow
pwritev                   296   70  allow
preadv2                   327  286  allow
pwritev2                  328  287  allow
lseek                       8   62  allow
sendfile                   40   71  allow
copy_file_range           326  285  allow
fsync                      74   82  allow
fdatasync                  75   83  allow
ftruncate                  77   46  allow
fallocate                 285   47  allow
fadvise64                 221  223  allow
close                       3   57  allow
close_range               436  436  allow
dup                        32   23  allow
dup2                       33    -  allow
dup3                      292   24  allow
pipe                       22    -  allow
pipe2                     293   59  allow

# waiting for what is open
poll                        7    -  allow
ppoll                     271   73  allow
select                     23    -  allow
pselect6                  270   72  allow
epoll_create              213    -  allow
epoll_create1             291   20  allow
epoll_ctl                 233   21  allow
epoll_wait                232    -  allow
epoll_pwait               281   22  allow
epoll_pwait2              441  441  allow
eventfd                   284    -  allow
eventfd2                  290   19  allow
timerfd_create            283   85  allow
timerfd_settime           286   86  allow
timerfd_gettime           287   87  allow
signalfd                  282    -  allow
signalfd4                 289   74  allow

# looking at files
stat                        4    -  allow
fstat                       5   80  allow
lstat                       6    -  allow
newfstatat                262   79  allow
statx                     332  291  allow
access                     21    -  allow
faccessat                 269   48  allow
faccessat2                439  439  allow
readlink                   89    -  allow
readlinkat                267   78  allow
getdents                   78    -  allow
getdents64                217   61  allow
getcwd                     79   17  allow
chdir                      80   49  allow
fchdir                     81   50  allow
statfs                    137   43  allow
fstatfs                   138   44  allow
umask                      95  166  allow
cachestat                 451  451  allow

# opening files
open                        2    -  open
openat                    257   56  openat

# changing files
mkdir                      83    -  files
mkdirat                   258   34  files
rmdir                      84    -  files
unlink                     87    -  files
unlinkat                  263   35  files
rename                     82    -  files
renameat                  264   38  files
renameat2                 316  276  files
link                       86    -  files
linkat                    265   37  files
symlink                    88    -  files
symlinkat                 266   36  files
chmod                      90    -  files
fchmod                     91   52  files
fchmodat                  268   53  files
fchmodat2                 452  452  files
chown                      92    -  files
fchown                     93   55  files
lchown                     94    -  files
fchownat                  260   54  files
utime                     132    -  files
utimes                    235    -  files
futimesat                 261    -  files
utimensat                 280   88  files
truncate                   76   45  files

# memory
brk                        12  214  allow
mmap                        9  222  unshared
munmap                     11  215  allow
mremap                     25  216  allow
mprotect                   10  226  allow
madvise                    28  233  allow
msync                      26  227  allow
mincore                    27  232  allow
mlock                     149  228  allow
munlock                   150  229  allow
membarrier                324  283  allow

# threads, within the one process
futex                     202   98  allow
futex_waitv               449  449  allow
futex_wake                454  454  allow
futex_wait                455  455  allow
futex_requeue             456  456  allow
set_robust_list           273   99  allow
set_tid_address           218   96  allow
rseq                      334  293  allow
gettid                    186  178  allow
getpid                     39  172  allow
getppid                   110  173  allow
sched_yield                24  124  allow
sched_getaffinity         204  123  allow
sched_getparam            143  121  allow
sched_getscheduler        145  120  allow
sched_get_priority_max    146  125  allow
sched_get_priority_min    147  126  allow
getpriority               140  141  allow
exit                       60   93  allow
exit_group                231   94  allow
wait4                      61  260  allow
waitid                    247   95  allow
restart_syscall           219  128  allow
getcpu                    309  168  allow
clone                      56  220  no_fork
clone3                    435  435  absent

# signals, to oneself
rt_sigaction               13  134  allow
rt_sigprocmask             14  135  allow
rt_sigreturn               15  139  allow
rt_sigsuspend             130  133  allow
rt_sigpending             127  136  allow
rt_sigtimedwait           128  137  allow
sigaltstack               131  132  allow
pause                      34    -  allow
alarm                      37    -  allow
setitimer                  38  103  allow
getitimer                  36  102  allow
kill                       62  129  own_process
tgkill                    234  131  own_process

# clocks
clock_gettime             228  113  allow
clock_getres              229  114  allow
clock_nanosleep           230  115  allow
nanosleep                  35  101  allow
gettimeofday               96  169  allow
time                      201    -  allow
times                     100  153  allow

# who and where am I
getuid                    102  174  allow
geteuid                   107  175  allow
getgid                    104  176  allow
getegid                   108  177  allow
getgroups                 115  158  allow
getresuid                 118  148  allow
getresgid                 120  150  allow
getpgrp                   111    -  allow
getpgid                   121  155  allow
getsid                    124  156  allow
uname                      63  160  allow
sysinfo                    99  179  allow
getrusage                  98  165  allow
getrlimit                  97  163  allow
capget                    125   90  allow
getrandom                 318  278  allow
prlimit64                 302  261  own_limits_read
prctl                     157  167  thread_name
fcntl                      72   25  fcntl_commands
ioctl                      16   29  ioctl_commands

# talking, from one end of a pair to the other
socketpair                 53  199  unix_only
getsockname                51  204  allow
getpeername                52  205  allow
getsockopt                 55  209  allow
sendto                     44  206  allow
recvfrom                   45  207  allow
recvmsg                    47  212  allow
recvmmsg                  299  243  allow
shutdown                   48  210  allow

# refused: what waits at a listening socket, descriptors on their way (sendmsg) and larger buffers are memory of the
# kernel's that no limit of a process counts
socket                     41  198  refuse
bind                       49  200  refuse
listen                     50  201  refuse
accept                     43  202  refuse
accept4                   288  242  refuse
connect                    42  203  refuse
setsockopt                 54  208  refuse
sendmsg                    46  211  refuse
sendmmsg                  307  269  refuse

# refused
fork                       57    -  refuse
vfork                      58    -  refuse
execve                     59  221  refuse
execveat                  322  281  refuse
ptrace                    101  117  refuse
process_vm_readv          310  270  refuse
process_vm_writev         311  271  refuse
kcmp                      312  272  refuse
unshare                   272   97  refuse
setns                     308  268  refuse
mount                     165   40  refuse
umount2                   166   39  refuse
pivot_root                155   41  refuse
chroot                    161   51  refuse
mount_setattr             442  442  refuse
open_tree                 428  428  refuse
move_mount                429  429  refuse
fsopen                    430  430  refuse
fsconfig                  431  431  refuse
fsmount                   432  432  refuse
fspick                    433  433  refuse
statmount                 457  457  refuse
listmount                 458  458  refuse
keyctl                    250  219  refuse
add_key                   248  217  refuse
request_key               249  218  refuse
bpf                       321  280  refuse
perf_event_open           298  241  refuse
userfaultfd               323  282  refuse
io_uring_setup            425  425  refuse
io_uring_enter            426  426  refuse
io_uring_register         427  427  refuse
io_setup                  206    0  refuse
memfd_create              319  279  refuse
memfd_secret              447  447  refuse
shmget                     29  194  refuse
shmat                      30  196  refuse
shmctl                     31  195  refuse
shmdt                      67  197  refuse
msgget                     68  186  refuse
msgsnd                     69  189  refuse
msgrcv                     70  188  refuse
msgctl                     71  187  refuse
semget                     64  190  refuse
semop                      65  193  refuse
semctl                     66  191  refuse
semtimedop                220  192  refuse
mq_open                   240  180  refuse
mq_unlink                 241  181  refuse
flock                      73   32  refuse
inotify_init              253    -  refuse
inotify_init1             294   26  refuse
inotify_add_watch         254   27  refuse
fanotify_init             300  262  refuse
fanotify_mark             301  263  refuse
setrlimit                 160  164  refuse
setpriority               141  140  refuse
ioprio_set                251   30  refuse
sched_setaffinity         203  122  refuse
sched_setattr             314  274  refuse
sched_setparam            142  118  refuse
sched_setscheduler        144  119  refuse
tkill                     200  130  refuse
rt_sigqueueinfo           129  138  refuse
rt_tgsigqueueinfo         297  240  refuse
pidfd_open                434  434  refuse
pidfd_getfd               438  438  refuse
pidfd_send_signal         424  424  refuse
process_madvise           440  440  refuse
process_mrelease          448  448  refuse
setxattr                  188    5  refuse
lsetxattr                 189    6  refuse
fsetxattr                 190    7  refuse
setxattrat                463  463  refuse
removexattr               197   14  refuse
lremovexattr              198   15  refuse
fremovexattr              199   16  refuse
removexattrat             466  466  refuse
mknod                     133    -  refuse
mknodat                   259   33  refuse
name_to_handle_at         303  264  refuse
open_by_handle_at         304  265  refuse
setuid                    105  146  refuse
setgid                    106  144  refuse
setreuid                  113  145  refuse
setregid                  114  143  refuse
setresuid                 117  147  refuse
setresgid                 119  149  refuse
setgroups                 116  159  refuse
setfsuid                  122  151  refuse
setfsgid                  123  152  refuse
capset                    126   91  refuse
setpgid                   109  154  refuse
setsid                    112  157  refuse
seccomp                   317  277  refuse
landlock_create_ruleset   444  444  refuse
landlock_add_rule         445  445  refuse
landlock_restrict_self    446  446  refuse
personality               135   92  refuse
syslog                    103  116  refuse
reboot                    169  142  refuse
sethostname               170  161  refuse
setdomainname             171  162  refuse
clock_settime             227  112  refuse
settimeofday              164  170  refuse
clock_adjtime             305  266  refuse
adjtimex                  159  171  refuse
init_module               175  105  refuse
finit_module              313  273  refuse
delete_module             176  106  refuse
kexec_load                246  104  refuse
kexec_file_load           320  294  refuse
swapon                    167  224  refuse
swapoff                   168  225  refuse
acct                      163   89  refuse
quotactl                  179   60  refuse
vhangup                   153   58  refuse
sync                      162   81  refuse
syncfs                    306  267  refuse
creat                      85    -  refuse
openat2                   437  437  refuse
splice                    275   76  refuse
tee                       276   77  refuse
vmsplice                  278   75  refuse
modify_ldt                154    -  refuse
iopl                      172    -  refuse
ioperm                    173    -  refuse
move_pages                279  239  refuse
migrate_pages             256  238  refuse
mbind                     237  235  refuse
set_mempolicy             238  237  refuse
"""


def rows() -> tuple[Row, ...]:
    """The list, row by row."""
    return _ROWS


def number(name: str, machine: Machine) -> int:
    """The number of a call on a machine.

    Raises LookupError where the kernel has none.
    """
    for row in _ROWS:
        if row.name == name and machine in row.numbers:
            return row.numbers[machine]
    raise LookupError(f"no system call {name} in the list for {machine}")


def _row(line: str) -> Row:
    name, x86_64, aarch64, verdict = line.split()
    numbers: dict[Machine, int] = {}
    if x86_64 != "-":
        numbers["x86_64"] = int(x86_64)
    if aarch64 != "-":
        numbers["aarch64"] = int(aarch64)
    return Row(name, numbers, verdict)


_ROWS = tuple(_row(line) for line in _LIST.splitlines() if line and not line.startswith("#"))
