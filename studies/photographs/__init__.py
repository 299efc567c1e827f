"""What a class name and a box are worth on photographs: Tiny ImageNet at 64 px."""
