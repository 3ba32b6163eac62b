# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Medians with intervals that assume nothing about how the values are distributed.
package Stats;
use strict;
use warnings;

sub sorted { return sort { $a <=> $b } @_ }

sub median {
	my @v = sorted(@_);
	my $half = int(@v / 2);
	return @v % 2 ? $v[$half] : ($v[$half - 1] + $v[$half]) / 2;
}

# The smallest value that $percent of all do not exceed.
sub percentile {
	my ($percent, @v) = @_;
	@v = sorted(@v);
	my $rank = $percent * @v / 100;
	my $index = int($rank) == $rank ? $rank - 1 : int($rank);
	return $v[$index < 0 ? 0 : $index];
}

# P(X <= k) of a fair coin thrown n times.
sub binomial {
	my ($k, $n) = @_;
	my ($term, $sum) = (0.5**$n, 0);
	for my $i (0 .. $k) {
		$sum += $term;
		$term *= ($n - $i) / ($i + 1);
	}
	return $sum;
}

# The order statistics that have the median between them in 95 of 100 cases: as many
# values as the median is above are as many heads of a fair coin. Fewer than six values
# are not enough for that; then it is all that was seen.
sub interval {
	my @v = sorted(@_);
	my $n = @v;
	my $cut = 0;
	$cut++ while $cut + 1 < $n / 2 && binomial($cut, $n) <= 0.025;
	return $cut ? ($v[$cut - 1], $v[$n - $cut]) : ($v[0], $v[-1]);
}

# Least squares: y = slope * x + start.
sub line {
	my @points = @_;
	my ($n, $sx, $sy, $sxx, $sxy) = (scalar @points, 0, 0, 0, 0);
	for my $p (@points) {
		my ($x, $y) = @$p;
		$sx += $x;
		$sy += $y;
		$sxx += $x * $x;
		$sxy += $x * $y;
	}
	my $slope = ($n * $sxy - $sx * $sy) / ($n * $sxx - $sx * $sx);
	return ($slope, ($sy - $slope * $sx) / $n);
}

1;
