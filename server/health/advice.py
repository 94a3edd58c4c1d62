"""What each kind of trouble means and what to do about it, in words for a person who was just woken up.

In: nothing. Out: texts. Never numbers or names: those come from where the trouble is found.
"""

from typing import NamedTuple


class Advice(NamedTuple):
    """`act`: a person is needed; else it passes or harms nothing. `what`: a sentence; `do`: what to try, most likely first."""

    act: bool
    what: str
    do: str


NODE = {
    "log-stuck": Advice(
        True,
        "Nothing can be logged or acknowledged now. Nothing is lost: devices keep their readings and send them again.",
        "Make room on the disk, or see why it cannot be written (full, read-only, failing). The backend goes on by itself.",
    ),
    "store-unreadable": Advice(
        True,
        "A database cannot be read, so what is said here of devices and quarantine is old.",
        "See to the disk. If it is well: stop the backend and run `meterproof fsck`.",
    ),
    "disk-low": Advice(
        True,
        "The disk that holds the home is nearly full. When it is full nothing is acknowledged any more.",
        "Make room or move the home to a larger disk: stop the backend, copy the whole directory, start it there.",
    ),
    "broker-away": Advice(
        True,
        "The MQTT broker cannot be reached, so no device can send. Nothing is lost: devices keep their readings until it is back.",
        "See whether the broker runs and whether its address and password file in meterproof.toml are right.",
    ),
    "broker-ends": Advice(
        False,
        "The backend's own broker ended and was started again within the last hour.",
        "Look into the backend's log for what it said. If it goes on, another program may hold its port (ss -ltnp).",
    ),
    "unacked-old": Advice(
        True,
        "Statements wait for their acknowledgement longer than they should.",
        "Look at the disk (iostat, df) and the processor of this machine: the store does not keep up.",
    ),
    "queue-full": Advice(
        True,
        "A queue is nearly full. What does not fit is not acknowledged, so devices send it again.",
        "If it stays: this machine does not keep up with what is sent. See which queue it is, and the disk and processor.",
    ),
    "shedding": Advice(
        False,
        "Messages were turned away because a queue was full or a store did not answer. None was acknowledged: they come again.",
        "Nothing, if it was a peak. If it goes on, this machine is too slow for these devices, or somebody floods the broker.",
    ),
    "flood": Advice(
        False,
        "Messages that cannot be let in come faster than samples of them are taken. All are counted, and no device is held up by them.",
        "See with `meterproof quarantine` as whom they come, and take away that user's broker password.",
    ),
    "anchor-behind": Advice(
        True,
        "Statements are logged but not on the ledger yet, so they cannot be proven to others.",
        "Read the reason. If it names a key or role, an admin has to add it; if it names the store, see to the disk.",
    ),
    "vote-withheld": Advice(
        True,
        "This validator could not vote on a batch: rows it would vouch for are missing or wrong. The batch does not count.",
        "Stop the backend and run `meterproof fsck`; put back what is missing from a backup of the same age.",
    ),
    "votes-due": Advice(
        True,
        "Batches wait for this validator's vote.",
        "Restart the backend if it goes on for minutes: votes that are due are cast at the start.",
    ),
    "publish-behind": Advice(
        True,
        "The published ledger log is behind the ledger, so others see old checkpoints.",
        "Make room on the disk: its files could not be written.",
    ),
    "device-pending": Advice(
        True,
        "Devices have shown their evidence and wait for enrolment. Their readings are not logged yet; after 7 days they are forgotten.",
        "`meterproof device pending`, compare the fingerprint with the one on the device, then `meterproof device enroll`.",
    ),
    "quarantine-full": Advice(
        False,
        "The quarantine is full, so older samples made room for newer ones. No reading of an enrolled device is in danger by that.",
        "See with `meterproof quarantine` who sends: most often a device nobody enrolled, or somebody who tries things out.",
    ),
}

QUARANTINE = {
    201: Advice(
        True,
        "Statements with wrong signatures came in a device's name.",
        "Either the device is broken or somebody pretends to be it. Look at the device; change the broker password of its user.",
    ),
    233: Advice(
        True,
        "Rows came that are not what the device signed.",
        "Something between device and broker changes messages, or the device's memory is failing. Look at its network, then at it.",
    ),
    246: Advice(
        True,
        "A device spoke on the topic of another one.",
        "Somebody uses another device's broker password, or a gateway is set up wrongly. Check the settings on the device.",
    ),
    250: Advice(
        False,
        "Evidence came with an old or used nonce.",
        "Nothing, if it was once: the device asks again. Often again: its network is too slow, or somebody replays messages.",
    ),
    251: Advice(
        True,
        "A key that was not enrolled says it is an enrolled device.",
        "Was the device replaced or reset? Then enrol it anew. If not, somebody pretends to be it.",
    ),
    252: Advice(
        True,
        "A device runs firmware that is not on the ledger.",
        "If it is yours: `meterproof firmware add`. If nobody knows it, take the device out of service.",
    ),
    305: Advice(
        False,
        "Messages came on the topic of an organization that does not own the device, or does not exist.",
        "Check the organization in the device's settings.",
    ),
    320: Advice(
        True,
        "Readings came from devices that were never enrolled, or by a key that was not.",
        "`meterproof device pending` shows those that want in. If it is none of yours, take away its broker password.",
    ),
    470: Advice(
        True,
        "A statement runs into a fault of this program. It is not acknowledged, so its device keeps it.",
        "Report it with the line of the log that names it. A mended program takes it after a restart.",
    ),
}
MALFORMED = Advice(
    False,
    "Bytes came that are no message of a device.",
    "Find out who sends (the topic says as whom). Most often a program that is set up wrongly or tries things out.",
)
OTHER_QUARANTINE = Advice(False, "Messages came that could not be let in.", "Read the reasons with `meterproof quarantine`.")

DEVICES = {
    "suspended": Advice(
        True,
        "Suspended: what these devices send is not logged. They keep it until somebody decides, as long as their memory lasts.",
        "`meterproof device show` and its findings say why. Then `meterproof device resume`, or `revoke` if it lied.",
    ),
    "silent": Advice(
        True,
        "Nothing came for three times as long as usual.",
        "Look at power and network there. A device keeps its readings and sends them when it can; only a full journal loses the oldest.",
    ),
    "never-heard": Advice(
        True,
        "Enrolled, but no reading ever came.",
        "Check its broker address, user and password, and the organization in its settings; look whether its clock is set.",
    ),
    "missing": Advice(
        False,
        "Readings in between have not come yet. The device is told with every acknowledgement and sends them first.",
        "Nothing for now. If it stays for days, look at the device: its memory may be damaged.",
    ),
    "equivocation": Advice(
        True,
        "Signed two different statements for the same readings. The ledger suspends such a device and keeps both as proof.",
        "Find out whether its key was copied or its memory put back. Only then resume it; else revoke it and set up a new one.",
    ),
    "chain-break": Advice(
        True,
        "Follows a statement that never came and was not named lost.",
        "The device may have been reset, or its memory damaged. Compare the readings around it with the meter's display.",
    ),
    "sequence-gap": Advice(
        True,
        "Left out readings without saying that they are lost.",
        "An honest device does not do that. Look at its firmware and memory.",
    ),
    "lost": Advice(
        False,
        "Says that readings are lost: its journal was full or damaged. The meter's own totals go on, so no energy is uncounted.",
        "If it was offline for long, mend the network. If it was not, its memory is failing.",
    ),
    "lost-but-logged": Advice(False, "Named readings lost that came all the same.", "Nothing: they are logged."),
    "clock-unsynced": Advice(
        True,
        "Does not know the time, so its readings cannot be credited until it says later when they were.",
        "Let it reach a time server (NTP, UDP port 123), or give it a clock with a battery.",
    ),
    "clock-simulated": Advice(False, "Runs with a simulated clock: a demonstration.", "Nothing. Such readings say so in every proof."),
    "clock-backward": Advice(
        True,
        "Its clock went backwards between two bundles.",
        "Once after a power cut is its clock being set right. Often: its clock or its time server is bad.",
    ),
    "clock-ahead": Advice(
        True,
        "Signs times in the future.",
        "Many devices at once: this machine's clock is behind, set it. One device: its time server or clock is wrong.",
    ),
    "register-backward": Advice(
        True,
        "A meter total fell.",
        "The meter was replaced, reset or has rolled over. If it was replaced: `meterproof device assign` with the new serial.",
    ),
    "rate-implausible": Advice(
        True,
        "A meter total moved faster than any meter can.",
        "Check the register's scale in the channel table, the wiring, and whether the meter was exchanged.",
    ),
    "register-count": Advice(True, "Sends another number of values than its channel table names.", "Its set-up is wrong: set it up anew."),
    "channel-table-unknown": Advice(
        True,
        "Never showed what its numbers mean, so nothing can be proven with them.",
        "Restart the device: it shows its channel table at every start.",
    ),
    "channel-table-differs": Advice(
        True,
        "Reads other registers than it was enrolled with, so its readings cannot be credited.",
        "Was the meter's firmware updated or its set-up changed? Then `meterproof device assign` anew. Else look at the device.",
    ),
    "meter-differs": Advice(
        True,
        "Reads another meter than it was enrolled with, so its readings cannot be credited.",
        "Was the meter exchanged? Then `meterproof device assign` with the new serial. Else look at what is wired to it.",
    ),
    "not-assigned": Advice(
        True,
        "Reads a meter that no metering point was named for, so its readings cannot be credited.",
        "`meterproof device assign DEVICE --channel N --point …`.",
    ),
    "firmware-differs": Advice(
        True,
        "Runs other firmware than it was enrolled with.",
        "Was it updated? Then see that the new one is on the ledger (`meterproof firmware list`). If nobody updated it, suspend it.",
    ),
    "tier-differs": Advice(
        True,
        "Claims another protection of its key than it was enrolled with.",
        "Its firmware says something untrue of its key. Suspend it and look at it.",
    ),
}


def of_code(code: int) -> Advice:
    """About messages in quarantine with that error code."""
    return QUARANTINE.get(code) or (MALFORMED if code < 200 else OTHER_QUARANTINE)
