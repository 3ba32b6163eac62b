#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Make the report of what was measured.
#
#   perl report.pl DIR COMMAND
#
# DIR/KERNEL/ has samples.jsonl (see sample.h) and refused.jsonl of a guest with that
# kernel. Writes DIR/report.json, DIR/report.md and DIR/*.svg. COMMAND is what made
# them. Says on stdout which limits were missed.
use strict;
use warnings;
use File::Basename qw(dirname basename);
use lib dirname(__FILE__);
use JSON::PP;
use POSIX qw(strftime);
use Plot;
use Stats;

my ($dir, $command) = @ARGV;
defined $command or die "usage: report.pl DIR COMMAND\n";
my @kernels = map { basename(dirname($_)) } glob "$dir/*/samples.jsonl";
@kernels = sort { version($a) <=> version($b) } @kernels;
@kernels or die "report: nothing was measured in $dir\n";
my @steps = qw(broken noticed told drained fenced deregistered released returned);
my @anatomy = (['1 region', 'break/regions/1/cooperating'], ['64 regions', 'break/regions/64/cooperating'],
	['8 peers', 'break/peers/8/cooperating'], ['idle peer', 'break/regions/1/idle']);
my (%samples, %units, %refused); # kernel -> name -> values
my $json = JSON::PP->new->canonical;

# "host" comes first: what was measured without a guest.
sub version {
	my ($major, $minor) = shift =~ /^(\d+)\.(\d+)$/ or return 0;
	return $major * 1000 + $minor;
}

sub where { my $kernel = shift; return $kernel eq 'host' ? 'no guest' : "Linux $kernel" }

sub lines {
	my $file = shift;
	open my $in, '<', $file or die "report: $file: $!\n";
	my @lines = map { $json->decode($_) } grep { /\S/ } <$in>;
	return @lines;
}

for my $kernel (@kernels) {
	for my $s (lines("$dir/$kernel/samples.jsonl")) {
		push @{ $samples{$kernel}{ $s->{name} } }, $s->{value};
		$units{ $s->{name} } = $s->{unit};
	}
	$refused{$kernel} = [lines("$dir/$kernel/refused.jsonl")] if -e "$dir/$kernel/refused.jsonl";
}

# ---- ratios -------------------------------------------------------------------

my @results; # what report.json has of ratios

sub by_parts {
	my @x = split '/', shift;
	my @y = split '/', shift;
	for my $i (0 .. ($#x < $#y ? $#x : $#y)) {
		my $order = $x[$i] =~ /^\d+$/ && $y[$i] =~ /^\d+$/ ? $x[$i] <=> $y[$i] : $x[$i] cmp $y[$i];
		return $order if $order;
	}
	return @x <=> @y;
}

# A limit is missed when all of the interval is beyond it.
sub judge {
	my ($label, $kernel, $name, $sense, $limit, @ratios) = @_;
	return unless @ratios;
	my ($low, $high) = Stats::interval(@ratios);
	my $holds = $sense eq 'none' ? undef : $sense eq '>=' ? $high >= $limit : $low <= $limit;
	push @results, { label => $label, kernel => $kernel, name => $name, sense => $sense,
		limit => defined $limit ? 0 + $limit : undef, ratio => Stats::median(@ratios), spread => [$low, $high],
		n => scalar @ratios, holds => $holds };
}

sub ratios {
	my ($above, $below) = @_;
	my $n = @$above < @$below ? @$above : @$below;
	return map { $above->[$_] / $below->[$_] } grep { $below->[$_] } 0 .. $n - 1;
}

# The k-th values of a name, a sum of names, or a number.
sub values_of {
	my ($of, $text, $count) = @_;
	return [($text) x $count] if $text =~ /^[\d.]+$/;
	my @parts = map { $of->{$_} // [] } split / \+ /, $text;
	my ($n) = sort { $a <=> $b } map { scalar @$_ } @parts;
	return [map { my $k = $_; my $sum = 0; $sum += $_->[$k] for @parts; $sum } 0 .. $n - 1];
}

sub apply {
	my ($label, $sense, $limit, $above, $below) = @_;
	my $pattern = join '', map { /^\{(\w+)\}$/ ? "(?<$1>[^/]+)" : quotemeta } split /(\{\w+\})/, $above;
	for my $kernel (@kernels) {
		my $of = $samples{$kernel};
		for my $name (sort { by_parts($a, $b) } keys %$of) {
			$name =~ /^$pattern$/ or next;
			my %part = %+;
			(my $other = $below) =~ s/\{(\w+)\}/$part{$1}/g;
			my @r = ratios($of->{$name}, values_of($of, $other, scalar @{ $of->{$name} }));
			judge($label, $kernel, "$name to $other", $sense, $limit, @r);
		}
	}
}

open my $limits, '<', dirname(__FILE__) . '/limits' or die "report: limits: $!\n";
while (<$limits>) {
	chomp;
	next if /^#/ || !/\S/;
	my ($label, $rule, $above, $below) = split /\s*\|\s*/;
	my ($sense, $limit) = split ' ', $rule;
	apply($label, $sense, $limit, $above, $below);
}

# ---- growth ---------------------------------------------------------------------

# The k-th values of: what each region adds from $from to $to regions.
sub per_region {
	my ($of, $from, $to) = @_;
	my ($x, $y) = map { $of->{"break/regions/$_/cooperating"} // [] } $from, $to;
	my $n = @$x < @$y ? @$x : @$y;
	return [map { ($y->[$_] - $x->[$_]) / ($to - $from) } 0 .. $n - 1];
}

# What a break takes beyond the deregistration of its regions.
sub beyond_dereg {
	my ($of, $bytes) = @_;
	my ($all, $dereg) = map { $of->{$_} // [] } "break/bytes/$bytes/cooperating", "floor/bytes/$bytes/cooperating/dereg";
	my $n = @$all < @$dereg ? @$all : @$dereg;
	return [map { $all->[$_] - $dereg->[$_] } 0 .. $n - 1];
}

sub axis {
	my ($of, $axis) = @_;
	return sort { $a <=> $b } map { m{^break/$axis/(\d+)/cooperating$} ? $1 : () } keys %$of;
}

my %slope;
for my $kernel (@kernels) {
	my $of = $samples{$kernel};
	my @regions = axis($of, 'regions');
	if (@regions >= 3) {
		my @points = map { [$_, Stats::median(@{ $of->{"break/regions/$_/cooperating"} })] } @regions;
		$slope{$kernel} = [Stats::line(@points)];
		my ($few, $half, $many) = @regions[0, -2, -1];
		judge('each further region to each of the first', $kernel,
			"break/regions: $half to $many over $few to $half", '<=', 1.2,
			ratios(per_region($of, $half, $many), per_region($of, $few, $half)));
	}
	my @bytes = axis($of, 'bytes');
	judge('break beyond dereg, the largest range to the smallest', $kernel,
		"break/bytes: $bytes[-1] to $bytes[0]", '<=', 1.2,
		ratios(beyond_dereg($of, $bytes[-1]), beyond_dereg($of, $bytes[0]))) if @bytes >= 2;
}

# ---- report.json ------------------------------------------------------------------

open my $out, '>', "$dir/report.json" or die "report: $dir/report.json: $!\n";
sub record { print $out $json->encode({@_}), "\n" }
my $true = $JSON::PP::true;
my $false = $JSON::PP::false;

for my $kernel (@kernels) {
	for my $name (sort { by_parts($a, $b) } keys %{ $samples{$kernel} }) {
		my @v = @{ $samples{$kernel}{$name} };
		record(name => $name, kernel => $kernel, value => Stats::median(@v), unit => $units{$name},
			ratio => undef, limit => undef, holds => undef, n => scalar @v,
			spread => [Stats::interval(@v)]);
	}
	record(name => 'growth/regions/slope', kernel => $kernel, value => $slope{$kernel}[0],
		unit => 'us', ratio => undef, limit => undef, holds => undef, n => 1, spread => undef)
		if $slope{$kernel};
}
for my $r (@results) {
	record(name => $r->{name}, kernel => $r->{kernel}, value => $r->{ratio}, unit => '1',
		ratio => $r->{ratio}, limit => $r->{limit}, holds => defined $r->{holds} ? ($r->{holds} ? $true : $false) : undef,
		n => $r->{n}, spread => $r->{spread});
}
close $out or die "report: $dir/report.json: $!\n";

# ---- report.md ----------------------------------------------------------------------

open my $md, '>', "$dir/report.md" or die "report: $dir/report.md: $!\n";
my $date = strftime('%Y-%m-%d', gmtime);

sub say_md { print $md @_, "\n" }

# Three figures that count, and no more zeros than needed.
sub figure {
	my $v = shift;
	return '' unless defined $v;
	return sprintf('%.0f', $v) if abs($v) >= 100;
	return sprintf('%.1f', $v) if abs($v) >= 10;
	return sprintf(abs($v) >= 0.01 || !$v ? '%.2f' : '%.2g', $v);
}

sub ratio { my $v = shift; return abs($v) >= 0.1 ? sprintf('%.3f', $v) : figure($v) }

sub size {
	my $n = shift;
	return $n unless $n =~ /^\d+$/ && $n >= 1024;
	for my $unit ([30, 'GiB'], [20, 'MiB'], [10, 'KiB']) {
		my $of = 2**$unit->[0];
		return $n / $of . " $unit->[1]" if $n >= $of && $n % $of == 0;
	}
	return $n;
}

sub row { say_md('| ', join(' | ', @_), ' |') }
sub head { row(@_); row(('---') x @_) }

# table TITLE, ROW, PATTERN [, COLUMNS]: a row for each (?<row>) of the names, a column for
# each (?<col>), medians; for each kernel.
sub table {
	my ($title, $row_name, $pattern, @columns) = @_;
	for my $kernel (@kernels) {
		my (%cell, %col, %row, $unit);
		for my $name (keys %{ $samples{$kernel} }) {
			$name =~ /^$pattern$/ or next;
			my ($r, $c) = ($+{row}, $+{col});
			$cell{$r}{$c} = Stats::median(@{ $samples{$kernel}{$name} });
			$col{$c} = $row{$r} = 1;
			$unit = $units{$name};
		}
		%row or next;
		my @cols = grep { $col{$_} } @columns ? @columns : sort { by_parts($a, $b) } keys %col;
		say_md("\n### $title, $unit, ", where($kernel), "\n");
		head($row_name, map { s/_/ /gr } @cols);
		for my $r (sort { by_parts($a, $b) } keys %row) {
			row(size($r), map { figure($cell{$r}{$_}) } @cols);
		}
	}
}

my @judged = grep { defined $_->{holds} } @results;
my $missed = grep { !$_->{holds} } @judged;
say_md('# What a lease costs, and what it saves');
say_md("\n$date, `$command`, ", join(' and ', map { where($_) } grep { $_ ne 'host' } @kernels),
	', in guests with soft-RoCE (rxe) and emulated NVDIMMs. Medians; times of an emulated CPU say little, their ratios more.');

sub limit {
	my $r = shift;
	return '' unless defined $r->{limit};
	return ($r->{sense} eq '>=' ? 'at least ' : 'at most ') . figure($r->{limit});
}

# The medians of all ratios of a kind, from the lowest to the highest, and how many were missed.
sub in_short {
	my @of = sort { $a->{ratio} <=> $b->{ratio} } @_;
	@of or return '';
	my $bad = grep { defined $_->{holds} && !$_->{holds} } @of;
	my $range = ratio($of[0]{ratio}) . (@of > 1 ? ' to ' . ratio($of[-1]{ratio}) : '');
	return $range unless $bad;
	return "$range, **missed**" . (@of > 1 ? " in $bad of " . @of : '');
}

say_md("\n## In short\n");
head('ratio', (map { where($_) } @kernels), 'limit');
my %seen;
for my $r (grep { !$seen{ $_->{label} }++ } @results) {
	my @of = grep { $_->{label} eq $r->{label} } @results;
	row($r->{label}, (map { my $k = $_; in_short(grep { $_->{kernel} eq $k } @of) } @kernels), limit($r));
}

say_md("\n## Limits\n");
say_md('Ratios of values that were measured one after the other: median, the interval that has it in ',
	'95 of 100 cases, and how many. A limit is missed when all of the interval is beyond it: ',
	"$missed of ", scalar @judged, " are.\n");
head('what', 'of', 'on', 'ratio', 'interval', 'n', 'limit', 'holds');
for my $r (@results) {
	row($r->{label}, "`$r->{name}`", where($r->{kernel}), ratio($r->{ratio}),
		join(' to ', map { ratio($_) } @{ $r->{spread} }), $r->{n},
		limit($r),
		defined $r->{holds} ? ($r->{holds} ? 'yes' : '**missed**') : '');
}

say_md("\n## Bandwidth\n\n![bandwidth over size](bandwidth.svg)");
my @memories = qw(lease devdax tmpfs anon perftest_devdax perftest_tmpfs bounce);
table("RDMA $_", 'bytes', "bw/$_/(?<col>[^/]+)/(?<row>\\d+)", @memories) for qw(write read send);
say_md("\nEach message durable in the file before it counts; bounce: received in ordinary memory, then ",
	'copied into the file:');
table("durable $_", 'bytes', "durable_bw/$_/(?<col>[^/]+)/(?<row>\\d+)", @memories) for qw(write send);

say_md("\n## Latency");
table("$_", 'bytes', "lat/$_/(?<col>[^/]+)/(?<row>\\d+)", @memories) for qw(write read send);
table("durable $_", 'bytes', "durable_lat/$_/(?<col>[^/]+)/(?<row>\\d+)", @memories) for qw(write send);

say_md("\n## Registration\n\n![registration over size](registration.svg)");
table('registration', 'bytes', 'reg/(?<col>[^/]+)/(?<row>\d+)');
table('deregistration', 'bytes', 'dereg/(?<col>[^/]+)/(?<row>\d+)');
table('memory of a lease in the kernel', 'bytes', 'mem/(?<col>[^/]+)/(?<row>\d+)');

my @cells = map { @{ $refused{$_} // [] } } @kernels;
if (@cells) {
	say_md("\n## What other libraries do with a file on a DAX file system\n");
	my @where = do { my %seen; grep { !$seen{$_}++ } map { $_->{memory} } @cells };
	head('Linux', 'library', 'version', @where);
	for my $kernel (@kernels) {
		my (%result, %version, @who);
		for my $c (@{ $refused{$kernel} // [] }) {
			push @who, $c->{library} unless $version{ $c->{library} };
			$version{ $c->{library} } = $c->{version};
			$result{ $c->{library} }{ $c->{memory} } = $c->{result};
		}
		row($kernel, $_, $version{$_}, @{ $result{$_} }{@where}) for @who;
	}
}

say_md("\n## Breaks\n\n![anatomy of a break](break-anatomy.svg)\n\n![breaks over regions](break-regions.svg)\n");
head('Linux', 'axis', '', 'peer', 'p50, us', 'p99', 'max', 'n', 'floor, us');
for my $kernel (@kernels) {
	my $of = $samples{$kernel};
	for my $name (sort { by_parts($a, $b) } keys %$of) {
		my ($axis, $value, $peer) = $name =~ m{^break/(\w+)/(\d+)/(\w+)$} or next;
		my @v = @{ $of->{$name} };
		my $floor = $of->{"floor/$axis/$value/$peer"};
		row($kernel, $axis, $axis eq 'bytes' ? size($value) : $value, $peer,
			(map { figure(Stats::percentile($_, @v)) } 50, 99, 100), scalar @v,
			$floor ? figure(Stats::median(@$floor)) : '');
	}
}
say_md("\nEach region adds ", figure($slope{$_}[0]), " us to a break on Linux $_.") for grep { $slope{$_} } @kernels;
table('raw parts of the floor', 'regions', 'floor/regions/(?<row>\d+)/cooperating/(?<col>\w+)');

say_md("\n## Guard");
table('get and put, two atomic additions, two empty calls', 'threads', 'guard/(?<col>\w+)/(?<row>\d+)');
close $md or die "report: $dir/report.md: $!\n";

# ---- pictures ---------------------------------------------------------------------------

# [NAME, [x, median]...] of the names that match (?<x>).
sub series {
	my ($name, $kernel, $pattern, $middle) = @_;
	my %y;
	for (keys %{ $samples{$kernel} }) {
		/^$pattern$/ or next;
		$y{ $+{x} } = $middle->(@{ $samples{$kernel}{$_} });
	}
	return %y ? [$name, map { [$_, $y{$_}] } sort { $a <=> $b } keys %y] : ();
}

sub medians { my ($name, $kernel, $pattern) = @_; return series($name, $kernel, $pattern, \&Stats::median) }

sub bars {
	my ($kernel, @steps) = @_;
	my $of = $samples{$kernel};
	my @bars;
	for my $bar (@anatomy) {
		my ($label, $name) = @$bar;
		next unless $of->{$name};
		# The breaker can be back before the holder has looked at the clock.
		push @bars, [$label, map { my $ms = Stats::median(@{ $of->{"$name/$_"} // [0] }) / 1000;
			$ms > 0 ? $ms : 0 } @steps];
	}
	return @bars;
}

Plot::lines("$dir/bandwidth.svg", 'bytes', 'MiB/s', 'xy 2', map {
	my $k = $_;
	["RDMA write, Linux $k",
		(map { medians($_, $k, "bw/write/$_/(?<x>\\d+)") } qw(lease devdax tmpfs perftest_devdax)),
		(map { medians("durable $_", $k, "durable_bw/write/$_/(?<x>\\d+)") } qw(lease bounce))]
} @kernels);
Plot::lines("$dir/registration.svg", 'bytes', 'us', 'xy', map {
	my $k = $_;
	["registration, Linux $k",
		medians('md_map + md_reg_mr', $k, 'reg/map_reg/(?<x>\d+)'),
		medians('md_reg_mr in a lease', $k, 'reg/lease_again/(?<x>\d+)'),
		medians('ibv_reg_mr, device-dax', $k, 'reg/devdax/(?<x>\d+)'),
		medians('ibv_reg_mr, tmpfs', $k, 'reg/tmpfs/(?<x>\d+)')]
} @kernels);
Plot::lines("$dir/break-regions.svg", 'regions', 'us', 'xy', map {
	my $k = $_;
	my $break = 'break/regions/(?<x>\d+)/cooperating';
	["breaker's wait, Linux $k",
		series('p99', $k, $break, sub { Stats::percentile(99, @_) }),
		medians('p50', $k, $break),
		medians('floor', $k, 'floor/regions/(?<x>\d+)/cooperating'),
		medians('ibv dereg mr alone', $k, 'floor/regions/(?<x>\d+)/cooperating/dereg')]
} @kernels);
Plot::stacks("$dir/break-anatomy.svg", 'ms, median', \@steps,
	map { ["steps of a break, Linux $_", bars($_, @steps)] } @kernels);

printf "missed: %s, %s: %s (%s to %s), limit %s %s\n", $_->{name}, where($_->{kernel}),
	ratio($_->{ratio}), (map { ratio($_) } @{ $_->{spread} }), $_->{sense}, figure($_->{limit})
	for grep { !$_->{holds} } @judged;
printf "%d of %d limits hold\n", @judged - $missed, scalar @judged;
