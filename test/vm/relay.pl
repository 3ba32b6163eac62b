# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Copy the guest's output from stdin to stdout, byte for byte and at once, up
# to the trailer "NUL TOKEN SPACE CODE NEWLINE" that guest.sh puts at its end.
# CODE goes to descriptor 3. Without a trailer nothing goes there.
use strict;
use warnings;

my $token = shift;
my $start = "\0$token ";
my $held = '';

# run.sh decides when to stop; the end of the input tells.
$SIG{$_} = 'IGNORE' for qw(INT TERM HUP);

sub put
{
	my ($bytes) = @_;

	while (length $bytes) {
		my $n = syswrite STDOUT, $bytes;
		exit 1 unless defined $n;
		substr $bytes, 0, $n, '';
	}
}

while (sysread STDIN, $held, 65536, length $held) {
	my $at = index $held, "\0";

	# Hold back only what may turn out to be the trailer.
	while ($at >= 0) {
		my $tail = substr $held, $at, length $start;
		last if $tail eq substr $start, 0, length $tail;
		$at = index $held, "\0", $at + 1;
	}
	put(substr $held, 0, $at < 0 ? length $held : $at, '');
	if ($held =~ /^\Q$start\E(\d+)\n/) {
		open my $result, '>&=', 3 or die "descriptor 3: $!\n";
		print $result $1;
		exit 0;
	}
}
put($held);
