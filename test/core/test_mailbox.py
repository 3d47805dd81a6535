"""Newest frame wins, and every frame is accounted for."""
import threading
import time
from collections import Counter

import numpy as np

from robot_vision_dl.core.mailbox import INACTIVE, REPLACED, Mailbox


def test_newest_wins_and_the_other_is_counted():
    mailbox = Mailbox(['a'])
    mailbox.put('a', 1)
    mailbox.put('a', 2)
    assert mailbox.take(8) == [('a', 2)]
    account = mailbox.account('a')
    assert account.received == 2
    assert account.dropped == Counter({REPLACED: 1})


def test_takes_one_of_each_camera_up_to_the_limit_and_in_turn():
    mailbox = Mailbox(['a', 'b', 'c'])
    served = Counter()
    for _ in range(30):
        for camera in 'abc':
            mailbox.put(camera, camera)
        served.update(camera for camera, _ in mailbox.take(2))
    assert served == Counter(a=20, b=20, c=20)


def test_closing_wakes_the_worker_and_counts_what_waited():
    mailbox = Mailbox(['a'])
    taken = []
    worker = threading.Thread(target=lambda: taken.append(mailbox.take(1)))
    worker.start()
    mailbox.close()
    worker.join(10)
    assert taken == [None]
    mailbox.put('a', 1)
    assert mailbox.account('a').dropped == Counter({INACTIVE: 1})


def test_nothing_is_lost_between_many_threads():
    cameras = ['a', 'b', 'c', 'd']
    mailbox = Mailbox(cameras)
    decided = Counter()

    def send(camera):
        for index in range(2000):
            mailbox.put(camera, index)

    def work():
        random = np.random.default_rng(0)
        while (batch := mailbox.take(3)) is not None:
            for camera, _ in batch:
                if random.random() < 0.1:
                    mailbox.dropped(camera, 'bad')
                else:
                    mailbox.decided(camera)
                    decided[camera] += 1
    worker = threading.Thread(target=work)
    worker.start()
    senders = [threading.Thread(target=send, args=(camera,)) for camera in cameras]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    time.sleep(0.05)
    mailbox.close()
    worker.join(10)
    for camera in cameras:
        account = mailbox.account(camera)
        assert account.received == 2000
        assert account.decided == decided[camera]
        assert account.received == account.decided + sum(account.dropped.values())
    assert sum(decided.values()) > 0
