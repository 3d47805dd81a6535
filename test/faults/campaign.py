"""Kill, starve and race the commands that write, and see that nothing half-written is ever taken for whole.

    make faults KILLS=100 SEED=0

For each command: it is run unbroken, then killed (SIGKILL) at moments drawn evenly over that time, and every other one
over the part of it in which it writes. Our own readers look at what is there, the same command is given again, and its
result must be that of the unbroken run, with nothing left over. Then the same with disks that fill up at some point, a
folder that is read-only, no /dev/shm, and two writers at once. ``failures: N`` is the last line, and the exit code is 1
if N is not 0.
"""
import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List, Optional

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / 'training'), str(HERE.parent / 'labelling')]

import children  # noqa: E402
from workloads import TRAIN, WORKLOADS, Workload, make_inputs  # noqa: E402

COLUMNS = ('kills', 'before', 'within', 'after', 'half-written', 'not repeatable', 'leftovers', 'full disk',
           'read-only', 'no shm', 'two writers')
"""Of the table: kills, and when they came (before anything was written, within, after the end); what was found wrong
after kills; cases of each other fault, and after the stroke how many of them went wrong."""


class Campaign:
    """Runs cases and keeps count.

    Args:
        root: a folder for everything.
        kills: of each command.
        seed: of the moments.
        say: takes lines for people.
        mounts: use file systems of our own where that is permitted.
    """

    def __init__(self, root: Path, kills: int, seed: int, say=print, mounts: bool = True):
        self.root, self.kills, self._random, self._say = root, kills, random.Random(seed), say
        self.inputs, self.work, self.log = root / 'inputs', root / 'work', root / 'said.txt'
        self.failures: List[str] = []
        self.table: Dict[str, Dict[str, str]] = {}
        self.mounts = mounts and children.can_mount()
        if not self.mounts:
            say('no file systems can be mounted here: instead of a full disk files are limited in size (RLIMIT_FSIZE), '
                'and the cases of a read-only folder and of no /dev/shm are left out')

    def prepare(self) -> None:
        """Make the inputs, and a finished run for those who begin with one."""
        children.warm_up()
        children.fresh(self.inputs)
        trouble = children.asked(lambda: make_inputs(self.inputs), self.log)
        if trouble:
            raise SystemExit(f'the inputs cannot be made:\n{trouble}')
        trained = children.fresh(self.inputs / 'trained')
        ended = children.run(TRAIN.command(self.inputs, trained), self.log)
        if ended.code:
            raise SystemExit(f'training does not work unbroken:\n{ended.text}')

    def run(self, workload: Workload) -> None:
        """All faults for one command."""
        began = time.monotonic()
        self._row = self.table.setdefault(workload.name, dict.fromkeys(COLUMNS, '-'))
        children.run(self._begin(workload), self.log)  # for what is kept in memory and on disks
        argv, clock = self._begin(workload), time.time()
        unbroken = children.run(argv, self.log)
        written = [path.stat().st_mtime - clock for path in self.work.rglob('*') if path.is_file()]
        first_write = min((moment for moment in written if moment >= 0), default=0.0)
        self._expected = self._content(workload)
        if unbroken.code or not isinstance(self._expected, dict) or not self._expected:
            self._fail(workload, 'unbroken', f'rc {unbroken.code}\n{unbroken.text}\n{self._expected}')
            return
        size = sum(file.stat().st_size for file in self.work.rglob('*') if file.is_file())
        self._kill(workload, unbroken.seconds, first_write)
        self._starve(workload, size)
        if self.mounts:
            self._refuse(workload)
            self._without_shm(workload)
        self._race(workload, unbroken.seconds)
        self._say(f'{workload.name}: {unbroken.seconds:.2f} s unbroken, {size / 1e3:.0f} kB, all cases in '
                  f'{time.monotonic() - began:.0f} s; '
                  + ', '.join(f'{key} {value}' for key, value in self._row.items()))

    def _kill(self, workload: Workload, seconds: float, first_write: float) -> None:
        counts = dict.fromkeys(('before', 'within', 'after'), 0)
        bad = dict.fromkeys(('half-written', 'not repeatable', 'leftovers'), 0)
        for number in range(self.kills):
            argv = self._begin(workload)
            there = set(self.work.rglob('*'))
            moment = self._random.uniform(first_write if number % 2 else 0, seconds)
            ended = children.run_and_kill(argv, self.log, moment)
            what = f'kill {number} at {moment:.3f} s'
            counts['after' if ended.code >= 0 else 'before' if set(self.work.rglob('*')) == there else 'within'] += 1
            whole = [name for name in workload.outputs if (self.work / name).exists()]
            content = self._content(workload)
            if not self._is_sound(workload, content, whole):
                bad['half-written'] += 1
                self._fail(workload, what, f'taken for whole: {whole}: {content}')
            finished = len(whole) == len(workload.outputs) and content == self._expected and not workload.stays
            if finished:  # a second time would be refused, as it should; another writer clears up
                children.asked(lambda: self._write_beside(workload), self.log)
            else:
                again = children.run(argv, self.log)
                content = self._content(workload)
                if again.code or content != self._expected:
                    bad['not repeatable'] += 1
                    self._fail(workload, what, f'again: rc {again.code}, {self._difference(content)}\n{again.text}')
            bad['leftovers'] += self._left_over(workload, what)
        self._row.update(kills=str(self.kills), **{key: str(value) for key, value in (*counts.items(), *bad.items())})

    def _starve(self, workload: Workload, size: int) -> None:
        cases, bad = max(4, self.kills // 10), 0
        for number in range(cases):
            share = (number + 0.5) / cases
            if self.mounts:
                children.fresh(self.work)
                with children.SmallDisk(self.work, 1 << 30) as disk:
                    workload.before(self.inputs, self.work)
                    there = sum(file.stat().st_size for file in self.work.rglob('*') if file.is_file())
                    pages = sum(-(-file.stat().st_size // 4096) * 4096 for file in self.work.rglob('*'))
                    disk.limit(pages + int(share * max(size - there, size / 2)))
                    bad += self._starved(workload, share, disk)
            else:
                argv = self._begin(workload)
                ended = children.run(argv, self.log, children.limit_files(int(share * size / 4)))
                bad += self._judge_refusal(workload, f'files limited to {share:.2f}', ended)
        self._row['full disk'] = _of(cases, bad)

    def _starved(self, workload: Workload, share: float, disk: children.SmallDisk) -> bool:
        argv = workload.command(self.inputs, self.work)
        log = self.root / 'starved.txt'
        ended = children.run(argv, log, lambda: os.environ.update(TMPDIR=str(self.work)))
        what = f'disk full at {share:.2f}'
        if self._judge_refusal(workload, what, ended):
            return True
        disk.make_room()
        if ended.code and (children.run(argv, log).code or self._content(workload) != self._expected):
            content = self._content(workload)
            self._fail(workload, what, f'again with room: {self._difference(content)}\n{log.read_text()}')
            return True
        return self._left_over(workload, what)

    def _refuse(self, workload: Workload) -> None:
        argv = self._begin(workload)
        with children.ReadOnly(self.work):
            ended = children.run(argv, self.log)
        bad = self._judge_refusal(workload, 'read-only folder', ended, must_fail=True)
        if not bad and children.run(argv, self.log).code:
            bad = True
            self._fail(workload, 'read-only folder', f'again: {self.log.read_text()}')
        self._row['read-only'] = _of(1, bad)

    def _without_shm(self, workload: Workload) -> None:
        """Commands finish without /dev/shm; those that need it (workers) say so."""
        argv = self._begin(workload)
        ended = children.run(argv, self.log, children.without_shared_memory)
        bad = ended.code != 0 or self._content(workload) != self._expected
        if bad:
            self._fail(workload, 'no /dev/shm', f'rc {ended.code}\n{ended.text}')
        cases = 1
        if workload is TRAIN:
            cases, argv = 2, [*self._begin(workload), '--set', 'run.workers=1']
            ended = children.run(argv, self.log, children.without_shared_memory)
            if ended.code not in (1, 2) or not ended.is_clear or '/dev/shm' not in ended.text:
                bad += 1
                self._fail(workload, 'workers without /dev/shm', f'rc {ended.code}\n{ended.text}')
        self._row['no shm'] = _of(cases, bad)

    def _race(self, workload: Workload, seconds: float) -> None:
        cases, bad = max(3, self.kills // 20), 0
        for number in range(cases):
            argv = self._begin(workload)
            logs = [self.root / 'first.txt', self.root / 'second.txt']
            began = time.monotonic()
            processes = [children.start(argv, logs[0])]
            time.sleep(self._random.uniform(0, seconds) if number else 0)
            processes.append(children.start(argv, logs[1]))
            ended = [children.finish(process, log, began) for process, log in zip(processes, logs)]
            what = f'two writers {number}'
            content = self._content(workload)
            unclear = [one for one in ended if one.code and not (one.code in (1, 2) and one.is_clear)]
            if unclear or all(one.code for one in ended) or content != self._expected:
                bad += 1
                self._fail(workload, what, f'rc {[one.code for one in ended]}, {self._difference(content)}\n'
                           + '\n'.join(one.text for one in ended))
            elif self._left_over(workload, what):
                bad += 1
        self._row['two writers'] = _of(cases, bad)

    def _judge_refusal(self, workload: Workload, what: str, ended: children.Ended, must_fail: bool = False) -> bool:
        """Whether a refused command did anything but say so: a fault."""
        whole = [name for name in workload.outputs if (self.work / name).exists()]
        content = self._content(workload)
        if ended.code == 0 and not must_fail:
            wrong = content != self._expected
        else:
            wrong = ended.code != 1 or not ended.is_clear or not self._is_sound(workload, content, whole)
        if wrong:
            self._fail(workload, what, f'rc {ended.code}, {whole}: {content}\n{ended.text}')
        return wrong or self._left_over(workload, what)

    def _begin(self, workload: Workload) -> List[str]:
        children.fresh(self.work)
        workload.before(self.inputs, self.work)
        return workload.command(self.inputs, self.work)

    def _write_beside(self, workload: Workload) -> None:
        from robot_vision_dl.core.files.whole_files import write_whole
        for name in workload.outputs:
            write_whole((self.work / name).parent / 'beside', b'')

    def _content(self, workload: Workload):
        """Hashes; a text if a reader refuses what is there."""
        return children.asked(lambda: workload.content(self.work), self.log)

    def _is_sound(self, workload: Workload, content, whole: List[str]) -> bool:
        """Whether what our readers take for whole is: all of it, or (of several outputs) some, never a part of one."""
        if workload.stays:
            return isinstance(content, dict) and set(content) == set(self._expected)
        if isinstance(content, dict):
            return content.items() <= self._expected.items()
        return not whole  # there is nothing yet, and the reader said so

    def _left_over(self, workload: Workload, what: str) -> bool:
        left = [path for path in self.work.rglob('*') if 'part' in path.suffix or path.name.startswith('.robot-vision')]
        if left:
            self._fail(workload, what, f'left over: {left}')
        return bool(left)

    def _difference(self, content) -> str:
        if not isinstance(content, dict):
            return str(content)
        return 'differs: ' + str([key for key in {*content, *self._expected}
                                  if content.get(key) != self._expected.get(key)])

    def _fail(self, workload: Workload, what: str, why: str) -> None:
        self.failures.append(f'{workload.name}: {what}: {why}')
        self._say(f'FAILED {self.failures[-1][:3000]}')


def _of(cases: int, bad: int) -> str:
    return f'{cases}/{int(bad)}'


def print_table(table: Dict[str, Dict[str, str]], say=print) -> None:
    """As text, a row a command."""
    rows = [('command', *COLUMNS), *((name, *row.values()) for name, row in table.items())]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        say('  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def main(argv: Optional[List[str]] = None) -> int:
    """Run the campaign; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--kills', type=int, default=100, help='of each command')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--no-mounts', action='store_true', help='as where no file systems can be mounted')
    parser.add_argument('--only', nargs='*', default=[], help='names of commands')
    args = parser.parse_args(argv)
    if not args.no_mounts and children.can_mount():
        children.own_mounts()
    began = time.monotonic()
    root = Path(tempfile.mkdtemp(prefix='robot-vision-faults-'))
    try:
        campaign = Campaign(root, args.kills, args.seed, lambda text: print(text, flush=True),
                            not args.no_mounts)
        campaign.prepare()
        for workload in WORKLOADS:
            if not args.only or workload.name in args.only:
                campaign.run(workload)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(f'\nkills {args.kills}, seed {args.seed}, {time.monotonic() - began:.0f} s')
    print_table(campaign.table)
    print(f'failures: {len(campaign.failures)}')
    return 1 if campaign.failures else 0


if __name__ == '__main__':
    sys.exit(main())
