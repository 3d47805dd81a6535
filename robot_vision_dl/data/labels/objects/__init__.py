"""Objects with boxes in pictures: files of labels, one format a file, read to and written from one type."""
