"""All of a site's data in one file that any of its databases can be filled from.

It serves two ends: keeping a copy, and moving from one database to another. The file is compressed
JSON, a line for each row, written and read as a stream:

``tables``   which tables it holds, what is left out, and why
``rows``     a row as plain values that mean the same in every database
``sums``     counts and a digest, by which two databases are known to hold the same
``file``     the lines of the file, its beginning and its end
``site``     the database as a whole: seen at one moment, empty or not, filled at once or not at all
"""
