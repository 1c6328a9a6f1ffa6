"""F2F (Aiken biphase) of a magnetic stripe: flux transition times -> bits, with a figure for how sure each bit is.

A bit cell begins with a flux transition; a one has another in its middle. Between two transitions lies half a cell or a
whole one, and only the cells before tell how long a cell is, while hand, dirt and wear push every transition about.

The trellis: its nodes are the transitions. A survivor at a node is a way to read all of them so far that takes this
one for the end of a cell: its cost, where that end would lie without the noise, and the length of a cell. From a node a
zero leads to the next transition, a one to the one after it, past its middle. The cost is the sum of the squared distances
between transitions and where a survivor expected them, in cells, which is what independent noise of position asks for;
each survivor follows the hand's speed by itself, as an alpha-beta filter does. Two survivors are kept at each node.

Source: ISO/IEC 7811-2 (coding); P. R. Kalata, "The tracking index", IEEE Trans. AES-20 (1984), for the gains.
Intervals are samples, unsigned 16 bit. Everything else is integers below 2**30.
"""

from micropython import const

_SHIFT = const(4)  # fraction bits of lengths; 65535 samples stay below 2**20
_WINDOW = const(8)  # zeros in a row that tell the first length of a cell
_GATE = const(154)  # no transition is farther than 0.6 cells from its place; in 1/256 of a cell
_BEHIND = const(15000)  # squares of 1/256 cell: a survivor so far behind the best is not followed
_NEAR = const(1444)  # 0.15 cells, squared: the other bit's places are at least 0.35 away
_NONE = const(0x1FFFFFFF)  # the cost of no survivor
_FAR = const(0xFFFFF)  # an interval that is longer than any
_MARGIN_SHIFT = const(10)
_ZERO_ALONE = const(0xF0)  # of a node: reached by a zero from the best survivor, without a rival
_ONE_ALONE = const(0xF2)
MARGIN_MAX = 15  # of a bit: its runner-up was 0.23 squared cells behind, or there was none

# Gains in 1/256 at the end of a whole cell and of half a one: what is left of an error of place, and what the cell
# takes on of it. Tracking index 0.6; 0.15 bears the most jitter, 1.5 a hand that jerks by 40 % within 9 mm.
USUAL = (-87, 89, -148, 58)
CALM = (-148, 29, -195, 17)
JERKY = (-48, 166, -108, 125)


def _first_cell(intervals, count, at, step):
    """(how many intervals before the first regular ones, length of a cell there); (-1, 0): nowhere regular."""
    for skipped in range(count - _WINDOW + 1):
        low = high = total = intervals[at]
        for i in range(1, _WINDOW):
            interval = intervals[at + i * step]
            total += interval
            if interval < low:
                low = interval
            elif interval > high:
                high = interval
        if high * 10 < low * 19:
            return skipped, (total << _SHIFT) // _WINDOW
        at += step
    return -1, 0


def follow(intervals, count: int, bits: bytearray, gains: tuple, is_backward: bool = False, skip: int = 0) -> tuple:
    """Read `count` intervals, or the reversed list of them, leaving out the first `skip` of these.

    `intervals` holds samples from one transition to the next, each above 0. `bits` (at least count + 1 long) is working
    space and result. Returns (first, end, noise): bits[first:end] are the bits in the order in which they were met, bit 0
    the bit, the others its margin to the runner-up, 0 to MARGIN_MAX; `noise` the mean square of the distances in 1/256 of
    a cell. Following ends where no reading is left. first == end: no clock was found.
    """
    step = -1 if is_backward else 1
    at = count - 1 - skip if is_backward else skip
    node, cell = _first_cell(intervals, count - skip, at, step)
    if node < 0:
        return 0, 0, 0
    at += node * step
    node += skip
    start = node
    keep, take, keep_half, take_half = gains
    # two survivors at this node, at the next (n), at the one after it (m): cost, end of the cell behind the node, cell
    cost = off = 0
    cost2 = n_cost = n_cost2 = _NONE
    off2 = n_off = n_off2 = cell2 = n_cell = n_cell2 = 0
    end = total = n_from = n_from2 = 0
    bits[node] = 0
    while True:
        if n_cost == _NONE and cost2 - cost > _BEHIND:
            # Only one reading is left, and most transitions lie near their places: no rival is worth a start.
            cost2 = _NONE
            while node < count:
                long = intervals[at] << _SHIFT
                error = long - off - cell
                if error << 2 > -cell:
                    e = (error << 8) // cell
                    e *= e
                    if e > _NEAR:
                        break
                    cost += e
                    off = (error * keep) >> 8
                    cell += (error * take) >> 8
                    node += 1
                    at += step
                    bits[node] = _ZERO_ALONE
                    continue
                if node + 1 == count:
                    break
                error += cell - (cell >> 1)
                e = (error << 8) // cell
                whole = cell + ((error * take_half) >> 8)
                error = (intervals[at + step] << _SHIFT) - ((error * keep_half) >> 8) - (whole >> 1)
                f = (error << 8) // whole
                e = e * e + f * f
                if e > _NEAR:
                    break
                cost += e
                off = (error * keep_half) >> 8
                cell = whole + ((error * take_half) >> 8)
                node += 2
                at += step + step
                bits[node] = _ONE_ALONE
        if cost < _NONE:
            end = node
            total = cost
        elif n_cost == _NONE:
            break  # no reading is left
        if node == count:
            break
        long = intervals[at] << _SHIFT
        at += step
        after = intervals[at] << _SHIFT if node + 1 < count else _FAR
        m_cost = m_cost2 = _NONE
        m_off = m_off2 = m_cell = m_cell2 = m_from = m_from2 = 0
        is_second = 0
        best = cost
        while cost < _NONE:
            # a zero: the next transition ends the cell
            error = long - off - cell
            e = (error << 8) // cell
            if -_GATE < e < _GATE:
                new = cost + e * e
                if new < n_cost:
                    n_cost2 = n_cost
                    n_off2 = n_off
                    n_cell2 = n_cell
                    n_from2 = n_from
                    n_cost = new
                    n_off = (error * keep) >> 8
                    n_cell = cell + ((error * take) >> 8)
                    n_from = is_second
                elif new < n_cost2:
                    n_cost2 = new
                    n_off2 = (error * keep) >> 8
                    n_cell2 = cell + ((error * take) >> 8)
                    n_from2 = is_second
            # a one: the next transition is its middle, the one after it ends the cell
            error = long - off - (cell >> 1)
            e = (error << 8) // cell
            if -_GATE < e < _GATE:
                new = cost + e * e
                cell += (error * take_half) >> 8
                error = after - ((error * keep_half) >> 8) - (cell >> 1)
                e = (error << 8) // cell
                if -_GATE < e < _GATE:
                    new += e * e
                    cell += (error * take_half) >> 8
                    off = (error * keep_half) >> 8
                    if new < m_cost:
                        m_cost2 = m_cost
                        m_off2 = m_off
                        m_cell2 = m_cell
                        m_from2 = m_from
                        m_cost = new
                        m_off = off
                        m_cell = cell
                        m_from = 2 | is_second
                    elif new < m_cost2:
                        m_cost2 = new
                        m_off2 = off
                        m_cell2 = cell
                        m_from2 = 2 | is_second
            if is_second or cost2 - best > _BEHIND:
                break
            is_second = 1
            cost = cost2
            off = off2
            cell = cell2
        node += 1
        margin = (n_cost2 - n_cost) >> _MARGIN_SHIFT
        bits[node] = n_from | n_from2 << 2 | (margin if margin < MARGIN_MAX else MARGIN_MAX) << 4
        cost = n_cost
        off = n_off
        cell = n_cell
        cost2 = n_cost2
        off2 = n_off2
        cell2 = n_cell2
        n_cost = m_cost
        n_off = m_off
        n_cell = m_cell
        n_cost2 = m_cost2
        n_off2 = m_off2
        n_cell2 = m_cell2
        n_from = m_from
        n_from2 = m_from2
    return _trace(bits, start, end), end + 1, total // (end - start + 1)


def _trace(bits, start, node):
    """Walk back from `node`: each node says where it was reached from. The bits take the place of what has been read."""
    first = node + 1
    is_second = 0
    while node > start:
        reached = bits[node]
        margin = MARGIN_MAX if is_second else reached >> 4
        if is_second:
            reached >>= 2
        bit = reached >> 1 & 1
        first -= 1
        bits[first] = margin << 1 | bit
        is_second = reached & 1
        node -= 1 + bit
    return first
