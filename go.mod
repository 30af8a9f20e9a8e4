module triplicate

go 1.26.8
