"""Local processes: an executor that outlives its workers."""

import os
import time

import parallel_models as models
import pytest

from genparams.dsl.parallel.processes import LocalProcesses
from genparams.errors import ArgumentError, WorkersLost


def test_work_is_done_in_as_many_processes_as_were_asked_for(processes):
    assert len(processes) == 2
    futures = [processes.submit(models.own_pid, 0.02) for _ in range(4)]
    found = {future.result() for future in futures}
    assert len(found) == 2
    assert os.getpid() not in found


def test_results_and_errors_come_back(processes):
    assert [*processes.map(abs, [-1, 2, -3])] == [1, 2, 3]
    with pytest.raises(ValueError, match="invalid literal"):
        processes.submit(int, "three").result()
    with pytest.raises(Exception, match="pickle"):
        processes.submit(lambda: 0).result()


def test_work_that_ends_its_process_is_given_up_and_other_work_is_not():
    with LocalProcesses(1, attempts=2) as executor:
        futures = [executor.submit(f) for f in (models.own_pid, models.leave, models.own_pid)]
        with pytest.raises(WorkersLost, match="workers: 2, the last error: A process") as error:
            futures[1].result()
        assert error.value.attempts == 2
        assert futures[2].result() != futures[0].result()


def test_an_idle_process_that_dies_is_replaced(processes):
    pid = processes.submit_to(1, models.own_pid).result()
    os.kill(pid, 9)
    assert processes.submit_to(1, models.own_pid).result() != pid


def test_what_has_not_begun_can_be_cancelled(processes):
    futures = [processes.submit_to(0, time.sleep, 0.05) for _ in range(3)]
    assert futures[2].cancel()
    assert futures[1].result() is None
    assert futures[2].cancelled()


def test_a_shutdown_may_cancel_what_has_not_begun():
    executor = LocalProcesses(1)
    futures = [executor.submit(abs, -i) for i in range(4)]
    executor.shutdown(wait=False, cancel_futures=True)
    assert futures[0].result() == 0
    assert all(future.cancelled() for future in futures[1:])
    with pytest.raises(ArgumentError, match="were shut down"):
        executor.submit(models.own_pid)


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "two"])
def test_the_numbers_of_workers_and_attempts_are_whole_numbers(number):
    with pytest.raises(ArgumentError, match="number of workers, at least 1, got"):
        LocalProcesses(number)
    with pytest.raises(ArgumentError, match="number of attempts, at least 1, got"):
        LocalProcesses(1, attempts=number)


def test_there_is_one_for_each_processor():
    assert len(LocalProcesses()) == os.cpu_count()
