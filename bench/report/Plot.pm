# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Pictures by gnuplot, with one panel for each kernel.
package Plot;
use strict;
use warnings;

my @colours = map { "#$_" } qw(0b5fa5 d1495b 66a182 edae49 7a5195 00798c 888888 2e4057);

sub quote { my $text = shift; $text =~ s/_/ /g; return "\"$text\"" }

# run FILE, WIDTH, PANELS: each panel is [title, commands]
sub run {
	my ($file, @panels) = @_;
	open my $pipe, '|-', 'gnuplot' or die "report: gnuplot: $!\n";
	printf $pipe "set terminal svg size %d,420 dynamic font 'sans-serif,12' background '#ffffff'\n",
		480 * @panels;
	print $pipe "set output '$file'\nset multiplot layout 1,", scalar @panels, "\n";
	print $pipe "set linetype ", $_ + 1, " lc rgb '$colours[$_]' lw 2 pt 7 ps 0.5\n" for 0 .. $#colours;
	print $pipe "set grid lc rgb '#dddddd'\nset tics nomirror\nset border 3\n";
	print $pipe "set title ", quote($_->[0]), "\n$_->[1]\n" for @panels;
	print $pipe "unset multiplot\n";
	close $pipe or die "report: gnuplot failed for $file\n";
}

# lines FILE, X LABEL, Y LABEL, AXES, PANELS: AXES as for "set logscale"; each panel is
# [title, [name, [x, y]...]...]
sub lines {
	my ($file, $x, $y, $log, @panels) = @_;
	my @parts;
	for my $panel (@panels) {
		my ($title, @series) = @$panel;
		my $text = 'set xlabel ' . quote($x) . "\nset ylabel " . quote($y) . "\nset logscale $log\n";
		$text .= "set logscale x 2\nset format x '%.0b%B'\n" if $x eq 'bytes';
		$text .= "set key top left reverse Left samplen 2\n";
		for my $i (0 .. $#series) {
			my (undef, @points) = @{ $series[$i] };
			$text .= "\$data$i << END\n" . join('', map { "@$_\n" } @points) . "END\n";
		}
		$text .= 'plot ' . join(', ', map {
			"\$data$_ using 1:2 with linespoints lt " . ($_ + 1) . ' title ' . quote($series[$_][0])
		} 0 .. $#series);
		push @parts, [$title, $text] if @series;
	}
	run($file, @parts) if @parts;
}

# stacks FILE, Y LABEL, STEPS, PANELS: each panel is [title, [name, value of each step]...]
sub stacks {
	my ($file, $y, $steps, @panels) = @_;
	my @parts;
	for my $panel (@panels) {
		my ($title, @bars) = @$panel;
		my $text = 'set ylabel ' . quote($y) . "\nset yrange [0:*]\n";
		$text .= "set style data histograms\nset style histogram rowstacked\nset style fill solid 0.9\n";
		$text .= "set boxwidth 0.7\nset xtics rotate by -30\nset key outside right top reverse Left invert samplen 1\n";
		$text .= "\$data << END\n";
		$text .= join('', map { my ($name, @v) = @$_; join(' ', quote($name), @v) . "\n" } @bars) . "END\n";
		$text .= 'plot ' . join(', ', map {
			'$data using ' . ($_ + 2) . ($_ ? '' : ':xtic(1)') . ' lt ' . ($_ + 1) . ' title ' . quote($steps->[$_])
		} 0 .. $#$steps);
		push @parts, [$title, $text] if @bars;
	}
	run($file, @parts) if @parts;
}

1;
